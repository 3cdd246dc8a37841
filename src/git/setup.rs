//! Process-wide setup of the git child: git's configuration from the environment, libgit2's switches, memory limit.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use git2::{Config, ConfigLevel, Repository, RepositoryInitOptions};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{Resource, setrlimit};

use super::error::{Failure, Kind};
use super::protocol::CERTIFICATES;

/// Timeout for the connection to a server, in milliseconds.
const CONNECT_TIMEOUT: i32 = 20_000;
/// Timeout for each read from and write to a server, in milliseconds.
const SERVER_TIMEOUT: i32 = 60_000;

/// Environment variables; git's configuration, the ssh agent and the keys are found by them.
#[derive(Clone, Default)]
pub struct Environment(HashMap<String, OsString>);

impl Environment {
    /// The environment of this process.
    pub fn of_process() -> Self {
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect()
    }

    pub(super) fn get(&self, name: &str) -> Option<&OsString> {
        self.0.get(name)
    }

    pub(super) fn home(&self) -> Option<&Path> {
        self.get("HOME").filter(|home| !home.is_empty()).map(Path::new)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.to_str()
    }
}

impl FromIterator<(String, OsString)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, OsString)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

/// Git's configuration, found as `git` itself finds it.
pub(super) struct Configuration {
    files: Vec<(PathBuf, ConfigLevel)>,
    /// The entries of `GIT_CONFIG_KEY_n`, as a file in memory.
    command: Option<File>,
}

impl Configuration {
    /// Finds the configuration by the variables in `environment`.
    pub(super) fn of(environment: &Environment) -> Result<Self, Failure> {
        let mut files = Vec::new();
        let off =
            environment.text("GIT_CONFIG_NOSYSTEM").is_some_and(|v| Config::parse_bool(v).unwrap_or(true));
        if !off {
            let system = environment.get("GIT_CONFIG_SYSTEM").map_or("/etc/gitconfig".into(), PathBuf::from);
            files.push((system, ConfigLevel::System));
        }
        if let Some(file) = environment.get("GIT_CONFIG_GLOBAL") {
            files.push((file.into(), ConfigLevel::Global));
        } else {
            let xdg =
                environment.get("XDG_CONFIG_HOME").filter(|folder| !folder.is_empty()).map(PathBuf::from);
            let xdg = xdg.or_else(|| environment.home().map(|home| home.join(".config")));
            files.extend(xdg.map(|folder| (folder.join("git/config"), ConfigLevel::XDG)));
            files.extend(environment.home().map(|home| (home.join(".gitconfig"), ConfigLevel::Global)));
        }
        Ok(Self { files, command: command_file(environment)? })
    }

    /// Sets the configuration of `repository` to this one and its own file, and nothing else.
    pub(super) fn apply(&self, repository: &Repository) -> Result<(), Failure> {
        let mut config = Config::new().map_err(|e| broken(&e))?;
        let own = repository.path().join("config");
        let files = self.files.iter().map(|(path, level)| (path.as_path(), *level));
        for (path, level) in files.chain([(own.as_path(), ConfigLevel::Local)]) {
            if path.is_file() {
                config.add_file(path, level, false).map_err(|e| broken(&e))?;
            }
        }
        if let Some(file) = &self.command {
            // The file has no name, so nothing stays on disk if this process is killed.
            let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
            config.add_file(&path, ConfigLevel::App, false).map_err(|e| broken(&e))?;
        }
        repository.set_config(&config).map_err(|e| broken(&e))
    }

    /// Creates a repository with this configuration.
    pub(super) fn init(&self, path: &Path, bare: bool) -> Result<Repository, Failure> {
        let mut options = RepositoryInitOptions::new();
        // A template could contain hooks.
        options.bare(bare).no_reinit(true).external_template(false).mkpath(true);
        let failed =
            |e: git2::Error| Failure::io("cannot make a repository", &std::io::Error::other(e.message()));
        let repository = Repository::init_opts(path, &options).map_err(failed)?;
        let mut own = Config::open(&repository.path().join("config")).map_err(failed)?;
        for protection in ["core.protectHFS", "core.protectNTFS"] {
            own.set_bool(protection, true).map_err(failed)?;
        }
        self.apply(&repository)?;
        Ok(repository)
    }
}

fn broken(error: &git2::Error) -> Failure {
    Failure::new(Kind::Other, format!("cannot read the runner's git configuration: {}", error.message()))
}

/// Writes `GIT_CONFIG_KEY_n` and `GIT_CONFIG_VALUE_n` into a configuration file in memory.
fn command_file(environment: &Environment) -> Result<Option<File>, Failure> {
    let count: usize = environment.text("GIT_CONFIG_COUNT").and_then(|n| n.parse().ok()).unwrap_or(0);
    let mut text = String::new();
    for n in 0..count.min(1000) {
        let key = environment.text(&format!("GIT_CONFIG_KEY_{n}")).unwrap_or_default();
        let value = environment.text(&format!("GIT_CONFIG_VALUE_{n}")).unwrap_or_default();
        let Some(((section, rest), (_, name))) = key.split_once('.').zip(key.rsplit_once('.')) else {
            continue;
        };
        let escape = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let header = match rest.strip_suffix(name).and_then(|sub| sub.strip_suffix('.')) {
            Some(sub) => format!("[{section} \"{}\"]", escape(sub)),
            None => format!("[{section}]"),
        };
        let _ = write!(text, "{header}\n\t{name} = \"{}\"\n", escape(value));
    }
    if text.is_empty() {
        return Ok(None);
    }
    let failed = |e| Failure::io("cannot store the git configuration", &e);
    // In memory, because the child can write only to its checkout.
    let memory = memfd_create(c"git-configuration", MFdFlags::MFD_CLOEXEC);
    let mut file = File::from(memory.map_err(|error| failed(error.into()))?);
    file.write_all(text.as_bytes()).map_err(failed)?;
    Ok(Some(file))
}

/// Sets libgit2's global switches, once per process.
#[expect(unsafe_code, reason = "libgit2's switches are global; the child has one thread")]
pub(super) fn switches() {
    // SAFETY: nothing else uses libgit2 while these are set. They fail only for unknown options.
    unsafe {
        // The runner's account need not own the operator's repositories, and their configuration is not applied.
        let _ = git2::opts::set_verify_owner_validation(false);
        let _ = git2::opts::set_server_connect_timeout_in_milliseconds(CONNECT_TIMEOUT);
        let _ = git2::opts::set_server_timeout_in_milliseconds(SERVER_TIMEOUT);
    }
}

/// Loads the authorities of [`CERTIFICATES`] before a connection to `url` that may use TLS, once per process.
#[expect(unsafe_code, reason = "libgit2's switches are global; the child has one thread")]
pub(super) fn trust(url: &str, environment: &Environment) -> Result<(), Failure> {
    static DONE: std::sync::Once = std::sync::Once::new();
    let given = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    // A server may redirect http:// to https://.
    let Some(file) = given(CERTIFICATES).filter(|_| url.starts_with("http") && !DONE.is_completed()) else {
        return Ok(());
    };
    DONE.call_once(|| {});
    // SAFETY: the child has one thread, and it is here.
    let read = unsafe { git2::opts::set_ssl_cert_file(Path::new(file)) };
    match read {
        // OpenSSL continues without a file that it cannot read; without any other source all servers would fail.
        Err(error) if url.starts_with("https") && given("SSL_CERT_DIR").is_none() => {
            let file = file.display();
            let message =
                format!("cannot read the certificates in SSL_CERT_FILE ({file}): {}", error.message());
            Err(Failure::new(Kind::Certificate, message))
        }
        _ => Ok(()),
    }
}

/// Limits the memory of this process for repositories of `limit_bytes`: a delta or zip bomb fails with "out of memory".
pub(super) fn limit_memory(limit_bytes: u64) {
    let max = limit_bytes.saturating_mul(3).saturating_add(512 << 20);
    let _ = setrlimit(Resource::RLIMIT_DATA, max, max);
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
}
