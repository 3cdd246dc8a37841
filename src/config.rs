//! All settings in one place: each module owns its own, this one gathers them and checks them before anything starts.

use std::fs;
use std::io::Read;
use std::os::fd::FromRawFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use secrecy::SecretString;

use crate::execute::{self, Folders, SuiteSettings};
use crate::{backend, checkout, kept, logging, poll, process, report, sandbox, serve, worker};

/// The settings of all modules, as flags and environment give them.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Settings {
    #[command(flatten)]
    #[expect(missing_docs, reason = "each is documented where it is owned")]
    pub backend: backend::Settings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "each is documented where it is owned")]
    pub poll: poll::Settings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "each is documented where it is owned")]
    pub worker: worker::Settings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "each is documented where it is owned")]
    pub checkout: checkout::Settings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "each is documented where it is owned")]
    pub suite: SuiteSettings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "each is documented where it is owned")]
    pub execute: execute::Settings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "each is documented where it is owned")]
    pub process: process::Settings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "each is documented where it is owned")]
    pub sandbox: sandbox::Settings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "each is documented where it is owned")]
    pub limits: report::Limits,
    #[command(flatten)]
    #[expect(missing_docs, reason = "each is documented where it is owned")]
    pub folders: FolderSettings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "each is documented where it is owned")]
    pub kept: kept::Settings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "each is documented where it is owned")]
    pub logging: logging::Settings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "each is documented where it is owned")]
    pub serve: serve::Settings,
}

/// Where the runner keeps things.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Folders")]
#[group(skip)]
pub struct FolderSettings {
    /// Folder for what outlives a run: the suite, its environments [default: $STATE_DIRECTORY, else
    /// ~/.local/state/ostest-runner]
    #[arg(long, global = true, env = "RUNNER_STATE_DIR", value_name = "FOLDER")]
    pub state_dir: Option<PathBuf>,

    /// Folder for the tasks' own folders, on the same filesystem [default: work, below the state folder]
    #[arg(long, global = true, env = "RUNNER_WORK_DIR", value_name = "FOLDER")]
    pub work_dir: Option<PathBuf>,
}

impl FolderSettings {
    /// The state folder, as given or by default; it need not be there.
    pub fn state(&self) -> anyhow::Result<PathBuf> {
        self.state_dir.clone().map_or_else(default_state_dir, Ok)
    }
}

/// Settings that have been checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The settings, with the password in its place.
    pub settings: Settings,
    /// The folders, made and absolute.
    pub folders: Folders,
}

impl Config {
    /// Checks `settings` as a whole. An error is one line that names the flag.
    pub fn check(mut settings: Settings) -> anyhow::Result<Self> {
        if let Some(password) = password(&settings.backend)? {
            settings.backend.password = password;
        }
        let state = make("--state-dir", &settings.folders.state()?)?;
        let work = match &settings.folders.work_dir {
            Some(folder) => make("--work-dir", folder)?,
            None => make("--state-dir", &state.join("work"))?,
        };
        Ok(Self { settings, folders: Folders { state, work } })
    }
}

/// Makes a folder that only its owner can look into; returns its absolute path.
fn make(flag: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt;
    let which = || format!("{flag} {}", folder.display());
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(which)?;
    let folder = folder.canonicalize().with_context(which)?;
    ensure!(folder.to_str().is_some(), "{flag} {}: the path is no UTF-8", folder.display());
    Ok(folder)
}

fn default_state_dir() -> anyhow::Result<PathBuf> {
    // The XDG rules: a path that is not absolute is to be ignored.
    let given = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    // systemd may give several, with colons between them; the first is ours.
    let systemd = given("STATE_DIRECTORY")
        .and_then(|all| all.to_str().and_then(|all| all.split(':').next()).map(PathBuf::from));
    let xdg = || given("XDG_STATE_HOME").map(|home| home.join("ostest-runner"));
    let home = || given("HOME").map(|home| home.join(".local/state/ostest-runner"));
    systemd.or_else(xdg).or_else(home).context("--state-dir: give one, since HOME is not set")
}

/// The password where it does not come by value: from the descriptor of our own making, from a file, or from
/// systemd's credentials.
fn password(settings: &backend::Settings) -> anyhow::Result<Option<SecretString>> {
    if let Some(file) = &settings.password_file {
        return read_password(file).map(Some).with_context(|| format!("--password-file {}", file.display()));
    }
    settings.password_fd.map(|number| read_descriptor(number).context("--password-fd")).transpose()
}

fn read_password(file: &Path) -> anyhow::Result<SecretString> {
    let text = fs::read_to_string(file)?;
    // Editors and `echo` end a file with a newline; a password has none.
    let text = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    ensure!(!text.is_empty(), "it is empty");
    Ok(SecretString::from(text))
}

#[expect(unsafe_code, reason = "the descriptor was made by this program before it executed itself again")]
fn read_descriptor(number: i32) -> anyhow::Result<SecretString> {
    ensure!(number >= 3, "it is for the runner's own use");
    // SAFETY: main passes the number of a memory file that nothing else in this process knows of.
    let mut file = unsafe { fs::File::from_raw_fd(number) };
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(SecretString::from(text))
}
