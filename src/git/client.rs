//! Repositories, fetched and written by git2 in a child process of the runner's own binary: the student's, and
//! the mirror of the suite.
//!
//! Bounded in time and size; hostile repositories harm nothing, for a libgit2 that hangs or crashes is a child
//! that is killed like any other.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::git::object_cache::ObjectCache;
use crate::git::url::RepositoryUrl;
use crate::git::{self, Answer, Request};
use crate::live::Live;
use crate::observe::Observe;
use report::{Cause, Fault, Progress};
use sandbox::command::{Deadline, Exit, Launcher, Spec};
use sandbox::confine::Most;
use sandbox::workspace::remove_tree;
use text::units::interval;

/// What may be checked out.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Checkout")]
#[group(skip)]
pub struct Settings {
    /// Take tasks whose repository is a path or a file:// URL on this machine
    #[arg(long, global = true, env = "RUNNER_ALLOW_LOCAL_REPOSITORIES", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_name = "true|false", value_parser = text::units::flag)]
    pub allow_local_repositories: bool,

    /// Largest repository, as transferred and as written out
    #[arg(long, global = true, env = "RUNNER_MAX_REPOSITORY", value_name = "SIZE", default_value = "512MiB", value_parser = text::units::size)]
    pub max_repository: u64,

    /// Largest number of files and folders in a repository
    #[arg(
        long,
        global = true,
        env = "RUNNER_MAX_REPOSITORY_FILES",
        value_name = "COUNT",
        default_value_t = 100_000
    )]
    pub max_repository_files: u64,

    /// Disk space for fetched objects of repositories, so that a later attempt fetches only new ones; none: keep
    /// nothing
    #[arg(long, global = true, env = "RUNNER_REPOSITORY_CACHE", value_name = "SIZE", default_value = "1G", value_parser = sandbox::confine::limits::size)]
    pub repository_cache: Most<u64>,

    /// How long one attempt to fetch a repository may take
    #[arg(long, global = true, env = "RUNNER_CHECKOUT_TIMEOUT", value_name = "DURATION", default_value = "2m", value_parser = interval)]
    pub checkout_timeout: Duration,
}

/// The variables of the runner's own environment that a fetch may need: where programs and configuration are,
/// proxies, certificates, the ssh agent.
const PASSED_ON: &[&str] = &[
    "PATH",
    "HOME",
    "XDG_CONFIG_HOME",
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
];

/// The checkout step.
#[derive(Debug, Clone)]
pub struct Checkout {
    settings: Live<Settings>,
    launcher: Launcher,
    observe: Observe,
    cache: Option<ObjectCache>,
}

impl Checkout {
    /// Sets up the step; what is fetched is kept below `state`.
    pub fn new(settings: Live<Settings>, launcher: Launcher, observe: Observe, state: &Path) -> Self {
        let cache = settings.get().repository_cache.0;
        let cache = cache.map(|most| ObjectCache::new(state.join("repositories"), most));
        Self { settings, launcher, observe, cache }
    }

    /// Checks what a task asks for against the allowed schemes, before any configuration rewrites it.
    pub fn url(&self, text: &str) -> Result<RepositoryUrl, Fault> {
        RepositoryUrl::parse(text, self.settings.get().allow_local_repositories)
            .map_err(|message| Fault::new(Progress::Claim, Cause::Task, message))
    }

    /// Writes `branch` of `url` (none: its default branch) into `into`; returns the commit.
    pub async fn student(
        &self,
        url: &RepositoryUrl,
        branch: Option<&str>,
        into: &Path,
    ) -> Result<String, Fault> {
        // What an attempt before this one has left.
        remove_tree(into).ok();
        let request = Request::Checkout(git::Checkout {
            url: url.clone(),
            branch: branch.map(str::to_owned),
            into: into.to_owned(),
            allow_local: self.settings.get().allow_local_repositories,
            limits: self.limits(),
            // Without it, it only takes longer.
            cache: self.cache.as_ref().and_then(|cache| cache.of(&url.expose()).ok()),
        });
        let folder = into.parent().unwrap_or(into);
        match self.ask(&request, Progress::Checkout, folder).await? {
            Answer::CheckedOut(done) => {
                tracing::debug!(
                    name: "fetched",
                    received = done.received,
                    bytes = done.bytes,
                    files = done.files,
                    "checked out"
                );
                if let Some(cache) = self.cache.clone().filter(|_| done.received > 0) {
                    tokio::task::spawn_blocking(move || cache.prune());
                }
                Ok(done.commit)
            }
            other => Err(unexpected(Progress::Checkout, &format!("{other:?}"))),
        }
    }

    /// Brings the mirror of the suite below `home` up to date; returns the commit in force and its tree.
    pub async fn suite(
        &self,
        url: &RepositoryUrl,
        reference: Option<&str>,
        home: &Path,
    ) -> Result<(String, PathBuf), Fault> {
        let request = Request::Mirror(git::Mirror {
            url: url.clone(),
            reference: reference.map(str::to_owned),
            mirror: home.join("mirror.git"),
            trees: home.join("trees"),
            limits: self.limits(),
        });
        std::fs::create_dir_all(home).map_err(|error| {
            let message = format!("cannot make {}: {error}", home.display());
            Fault::new(Progress::Prepare, Cause::Infrastructure, message)
        })?;
        let answer = self.ask(&request, Progress::Prepare, home).await;
        self.observe.suite(match &answer {
            Ok(Answer::Mirrored(done)) => done.warning.clone().map_or(Ok(()), Err),
            Ok(_) => Ok(()),
            Err(fault) => Err(fault.message.clone()),
        });
        match answer? {
            Answer::Mirrored(done) => {
                if let Some(warning) = done.warning {
                    tracing::warn!(
                        name: "suite_refresh_failed",
                        warning,
                        commit = done.commit,
                        "the suite could not be refreshed; what is there serves"
                    );
                }
                Ok((done.commit, done.tree))
            }
            other => Err(unexpected(Progress::Prepare, &format!("{other:?}"))),
        }
    }

    fn limits(&self) -> git::Limits {
        let settings = self.settings.get();
        let (bytes, files) = (settings.max_repository, settings.max_repository_files);
        git::Limits { bytes, files, ..git::Limits::default() }
    }

    /// Has a child, which may write to `folder` alone, do `request`. The request goes by its stdin: the URL may hold a
    /// password.
    async fn ask(&self, request: &Request, progress: Progress, folder: &Path) -> Result<Answer, Fault> {
        let infrastructure = |message: String| Fault::new(progress, Cause::Infrastructure, message);
        let cache = match request {
            Request::Checkout(checkout) => checkout.cache.as_deref(),
            Request::Mirror(_) => None,
        };
        let writable: Vec<&Path> = std::iter::once(folder).chain(cache).collect();
        let spec = Spec {
            program: self.launcher.exe().display().to_string(),
            args: vec![git::MODE.to_owned()],
            env: environment(),
            dir: PathBuf::from("/"),
            stdin: serde_json::to_string(request).map_err(|error| infrastructure(error.to_string()))?,
            plan: self.launcher.sandbox().tool(&writable),
            output: None,
        };
        let limit = self.settings.get().checkout_timeout;
        let exit = self.launcher.run(spec, &Deadline::within(limit)).await;
        let exit = exit.map_err(|error| infrastructure(error.to_string()))?;
        match serde_json::from_slice(&exit.stdout.head) {
            Ok(Answer::Failed(failure)) => Err(failure.fault(progress)),
            Ok(answer) => Ok(answer),
            Err(_) => Err(no_answer(request, progress, &exit, limit)),
        }
    }
}

/// A child that ended without an answer: at its deadline, or because the repository broke it.
fn no_answer(request: &Request, progress: Progress, exit: &Exit, limit: Duration) -> Fault {
    let url = match request {
        Request::Checkout(checkout) => &checkout.url,
        Request::Mirror(mirror) => &mirror.url,
    };
    if exit.stopped.is_some() {
        let message = format!("fetching {url} did not end within {}", text::units::show(limit));
        return Fault::new(progress, Cause::Infrastructure, message);
    }
    let words = exit.last_words().map(|line| format!(": {}", url.scrub(&line))).unwrap_or_default();
    Fault::new(progress, Cause::Program, format!("git broke on {url} ({}){words}", exit.describe()))
}

fn unexpected(progress: Progress, answer: &str) -> Fault {
    Fault::new(progress, Cause::Infrastructure, format!("the git child answered something else: {answer}"))
}

fn environment() -> Vec<(String, String)> {
    let mut passed: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| PASSED_ON.contains(&name.as_str()) || name.starts_with("GIT_CONFIG_"))
        .collect();
    let said = |wanted: &str| passed.iter().position(|(name, _)| name == wanted);
    if let Some(file) = said("SSL_CERT_FILE") {
        // OpenSSL 3 takes 40 ms to read all authorities from one file, and does so before it is known whether the
        // repository needs any: the child is told where they are, and reads them when it meets TLS.
        let file = std::mem::replace(&mut passed[file].1, NOTHING.to_owned());
        passed.push((git::CERTIFICATES.to_owned(), file));
    } else if said("SSL_CERT_DIR").is_none() && has_hashed_certificates(Path::new(CERTIFICATES)) {
        // Each authority is looked up there when it is met.
        let value = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        passed.extend([value("SSL_CERT_DIR", CERTIFICATES), value("SSL_CERT_FILE", NOTHING)]);
    }
    passed
}

/// A file of certificates with none in it.
const NOTHING: &str = "/dev/null";

/// Where Debian keeps the certificates of authorities, one by one under the names that OpenSSL looks for.
const CERTIFICATES: &str = "/etc/ssl/certs";

fn has_hashed_certificates(folder: &Path) -> bool {
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.into_iter().any(|name| name.as_encoded_bytes().ends_with(b".0"))
}
