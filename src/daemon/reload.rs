//! Reload at SIGHUP: reads the settings again, changes those that can change in a running runner, and logs which need a
//! restart.

use std::ffi::OsString;

use secrecy::{ExposeSecret, SecretString};

use crate::config::origin::Value;
use crate::config::running::{CHANGEABLE, Running};
use crate::config::{Given, Settings, read_passwords};
use crate::observe::logging::Log;

/// Reads the command line, the environment and the settings file again. An error is one line.
pub type Reread = fn(Vec<OsString>) -> Result<(Settings, Given), String>;

/// The current settings, and what a reload changes.
#[derive(Debug)]
pub struct Reload {
    reread: Reread,
    /// The current settings with their origins; a setting that needs a restart keeps its old value.
    given: Given,
    /// The password in the password file at the start, if there is one.
    password: Option<SecretString>,
    running: Running,
    log: Log,
}

impl Reload {
    /// Takes the settings with which the runner was started.
    pub fn new(reread: Reread, given: Given, settings: &Settings, running: Running, log: Log) -> Self {
        let backend = &settings.backend;
        let password = backend.password_file.as_ref().map(|_| backend.password.clone());
        Self { reread, given, password, running, log }
    }

    /// Reads the settings again and applies them. If they are wrong, logs that and changes nothing.
    pub fn reload(&mut self) {
        let (settings, given) = match (self.reread)(self.given.arguments.clone()) {
            Ok(read) => read,
            Err(error) => {
                return tracing::error!(name: "reload_failed", error, "the settings are wrong; everything stays as it was");
            }
        };
        let changed: Vec<(&mut Value, Value)> = self
            .given
            .values
            .iter_mut()
            .zip(given.values)
            .filter(|(old, new)| old.key != "config" && !old.is_same(new))
            .collect();
        let (mut now, mut after_restart) = (Vec::new(), Vec::new());
        for (old, new) in changed {
            if CHANGEABLE.contains(&new.key.as_str()) || new.key == "logger_level" {
                now.push(format!("{} {} -> {}", new.key, old.text(), new.text()));
                *old = new;
            } else {
                after_restart.push(new.key);
            }
        }
        let password = self.has_other_password(&settings);
        let is_named = after_restart.iter().any(|key| key.starts_with("password"));
        if !is_named && matches!(password, Ok(true)) {
            after_restart.push("password".to_owned());
        }
        let level = settings.logging.level(false);
        // The line must be written under the more verbose of the two levels.
        let quieter = level > self.log.level();
        if quieter {
            log_changes(&now, &after_restart);
        }
        self.running.change(&settings);
        self.log.set_level(level);
        if !quieter {
            log_changes(&now, &after_restart);
        }
        if let Err(error) = password {
            let error = format!("{error:#}");
            tracing::error!(
                name: "reload_password_failed",
                error,
                "the password cannot be read again; the runner keeps the old one, but cannot restart before that file is mended"
            );
        }
    }

    /// Whether the password file holds another password than at the start.
    fn has_other_password(&self, settings: &Settings) -> anyhow::Result<bool> {
        let differs = |new: &SecretString, old: &SecretString| new.expose_secret() != old.expose_secret();
        let new = password_in_file(settings)?;
        Ok(new.is_some_and(|new| self.password.as_ref().is_none_or(|old| differs(&new, old))))
    }
}

/// The password in the password file. None if there is no regular file: a pipe cannot be read a second time.
fn password_in_file(settings: &Settings) -> anyhow::Result<Option<SecretString>> {
    let Some(file) = &settings.backend.password_file else { return Ok(None) };
    // For example `<(…)` of a shell.
    let is_pipe = file.starts_with("/dev") || file.metadata().is_ok_and(|meta| !meta.is_file());
    if !settings.backend.auth || is_pipe {
        return Ok(None);
    }
    read_passwords(&settings.backend)
}

/// Logs which settings have changed, and which need a restart.
fn log_changes(now: &[String], after_restart: &[String]) {
    let (changed, needs_restart) = (now.join(", "), after_restart.join(", "));
    if after_restart.is_empty() && now.is_empty() {
        tracing::info!(name: "reloaded", "the settings were read again: nothing has changed");
    } else if after_restart.is_empty() {
        tracing::info!(name: "reloaded", changed, "the settings were read again");
    } else if now.is_empty() {
        tracing::warn!(name: "reloaded", needs_restart, "the settings were read again; these changes need a restart");
    } else {
        tracing::warn!(name: "reloaded", changed, needs_restart, "the settings were read again; some changes need a restart");
    }
}
