//! Checks the settings as a whole.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use nix::unistd::{AccessFlags, access};

use super::password::read_passwords;
use super::running::Running;
use super::{Settings, folder, slot};
use crate::spool;

/// The folders of the runner.
#[derive(Debug, Clone)]
pub struct Folders {
    /// What outlives a run: spool, mirrors, environments, artifacts.
    pub state: PathBuf,
    /// The tasks' own folders.
    pub work: PathBuf,
}

/// Checked settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// The settings, with the password that a file or a descriptor holds.
    pub settings: Settings,
    /// The folders; they exist, and their paths are absolute.
    pub folders: Folders,
    /// The settings that a reload changes.
    pub running: Running,
    /// The lock of the slot, if several runners share the state folder.
    _slot: Option<Arc<File>>,
}

impl Config {
    /// Checks `settings` as a whole and makes the folders.
    ///
    /// # Errors
    /// A folder, a password file or a combination of settings is unusable. The message is one line that names the option.
    pub fn check(mut settings: Settings) -> anyhow::Result<Self> {
        if let Some(password) = read_passwords(&settings.backend)? {
            settings.backend.password = password;
        }
        let state = settings.folders.state()?;
        let (state, slot) = match slot::shared(&state) {
            Some(shared) => slot::take(shared).map(|(state, held)| (state, Some(Arc::new(held))))?,
            None => (folder::make("--state-dir", &state)?, None),
        };
        let work = match &settings.folders.work_dir {
            Some(given) => folder::make("--work-dir", given)?,
            None => folder::make("--state-dir", &state.join("work"))?,
        };
        settings.sandbox.check(&[&state, &work]).map_err(anyhow::Error::msg)?;
        folder::must_exist("--sandbox-readable", &settings.sandbox.sandbox_readable)?;
        let running = Running::new(&settings);
        Ok(Self { settings, folders: Folders { state, work }, running, _slot: slot })
    }

    /// Checks `settings` as far as possible without making anything.
    ///
    /// # Errors
    /// Those of [`Config::check`], of the log and of the spool that can be foreseen.
    pub fn check_only(settings: &Settings) -> anyhow::Result<()> {
        read_passwords(&settings.backend)?;
        let state = Self::check_folders(settings)?;
        settings.logging.check().map_err(anyhow::Error::msg)?;
        // A user who may not write to the folder is not the daemon's.
        let is_owned = access(&state, AccessFlags::W_OK | AccessFlags::X_OK).is_ok();
        if is_owned { spool::preflight(&state).map_err(anyhow::Error::from) } else { Ok(()) }
    }

    /// Checks the folders without making them; returns the state folder.
    fn check_folders(settings: &Settings) -> anyhow::Result<PathBuf> {
        let state = settings.folders.state()?;
        // Any number will do.
        let state = slot::shared(&state).map_or(state.clone(), |shared| shared.join("1"));
        let state = folder::foresee("--state-dir", &state)?;
        let work = match &settings.folders.work_dir {
            Some(given) => folder::foresee("--work-dir", given)?,
            None => folder::foresee("--state-dir", &state.join("work"))?,
        };
        settings.sandbox.check(&[&state, &work]).map_err(anyhow::Error::msg)?;
        folder::must_exist("--sandbox-readable", &settings.sandbox.sandbox_readable)?;
        Ok(state)
    }
}
