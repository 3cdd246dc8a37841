//! SIGHUP: reads the settings again, changes what can change while the runner runs, and says what cannot.

use std::ffi::OsString;

use secrecy::{ExposeSecret, SecretString};

use crate::config::origin::Value;
use crate::config::running::{CHANGEABLE, Running};
use crate::config::{Given, Settings, read_passwords};
use crate::observe::logging::Log;

/// Reads the command line, the environment and the file anew; an error is one line for people.
pub type Reread = fn(Vec<OsString>) -> Result<(Settings, Given), String>;

/// The settings in force, and where they are changed.
#[derive(Debug)]
pub struct Reload {
    reread: Reread,
    /// As they were asked for; of those that need a restart, what is in force.
    given: Given,
    /// What the file of the password held, where there is one.
    password: Option<SecretString>,
    running: Running,
    log: Log,
}

impl Reload {
    /// Begins with the settings that the runner was started with.
    pub fn new(reread: Reread, given: Given, settings: &Settings, running: Running, log: Log) -> Self {
        let backend = &settings.backend;
        let password = backend.password_file.as_ref().map(|_| backend.password.clone());
        Self { reread, given, password, running, log }
    }

    /// Reads them again. Where they are wrong everything stays as it is.
    pub fn again(&mut self) {
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
                now.push(format!("{} {} -> {}", new.key, old.words(), new.words()));
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
        // The line itself is to be seen under the level that says more.
        let quieter = level > self.log.level();
        if quieter {
            say(&now, &after_restart);
        }
        self.running.change(&settings);
        self.log.set_level(level);
        if !quieter {
            say(&now, &after_restart);
        }
        if let Err(error) = password {
            let error = format!("{error:#}");
            tracing::error!(
                name: "reload_password_failed",
                error,
                "the password cannot be read again; the runner goes on with the one that it has, and does not start again before that file is mended"
            );
        }
    }

    /// Whether the file of the password holds another one than at the start. An error is what a start would say.
    fn has_other_password(&self, settings: &Settings) -> anyhow::Result<bool> {
        let differs = |new: &SecretString, old: &SecretString| new.expose_secret() != old.expose_secret();
        let new = password_in_file(settings)?;
        Ok(new.is_some_and(|new| self.password.as_ref().is_none_or(|old| differs(&new, old))))
    }
}

/// The password in the file that is named for it. Only where it can be read again: what a pipe held is gone.
fn password_in_file(settings: &Settings) -> anyhow::Result<Option<SecretString>> {
    let Some(file) = &settings.backend.password_file else { return Ok(None) };
    // Such as a shell's `<(…)`, which is gone with what wrote into it.
    let is_passing = file.starts_with("/dev") || file.metadata().is_ok_and(|meta| !meta.is_file());
    if !settings.backend.auth || is_passing {
        return Ok(None);
    }
    read_passwords(&settings.backend)
}

fn say(now: &[String], after_restart: &[String]) {
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
