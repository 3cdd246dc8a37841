//! SIGHUP: reads the settings again, changes what can change while the runner runs, and says what cannot.

use crate::cli;
use crate::config::Given;
use crate::config::origin::Value;
use crate::config::running::{CHANGEABLE, Running};
use crate::logging::Log;

/// The settings in force, and where they are changed.
#[derive(Debug)]
pub struct Reload {
    /// As they were asked for; of those that need a restart, what is in force.
    given: Given,
    running: Running,
    log: Log,
}

impl Reload {
    /// Begins with the settings that the runner was started with.
    pub fn new(given: Given, running: Running, log: Log) -> Self {
        Self { given, running, log }
    }

    /// Reads them again. Where they are wrong everything stays as it is.
    pub fn again(&mut self) {
        let cli = match cli::parse(self.given.arguments.clone()) {
            Ok(cli) => cli,
            Err(error) => {
                let error = cli::one_line(&error);
                let error = error.trim_start_matches("error: ");
                return tracing::error!(error, "the settings are wrong; everything stays as it was");
            }
        };
        let changed: Vec<(&mut Value, Value)> = self
            .given
            .values
            .iter_mut()
            .zip(cli.given.values)
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
        let level = cli.settings.logging.level(false);
        // The line itself is to be seen under the level that says more.
        let quieter = level > self.log.level();
        if quieter {
            say(&now, &after_restart);
        }
        self.running.change(&cli.settings);
        self.log.set_level(level);
        if !quieter {
            say(&now, &after_restart);
        }
    }
}

fn say(now: &[String], after_restart: &[String]) {
    let (changed, needs_restart) = (now.join(", "), after_restart.join(", "));
    if after_restart.is_empty() && now.is_empty() {
        tracing::info!("the settings were read again: nothing has changed");
    } else if after_restart.is_empty() {
        tracing::info!(changed, "the settings were read again");
    } else if now.is_empty() {
        tracing::warn!(needs_restart, "the settings were read again; these changes need a restart");
    } else {
        tracing::warn!(changed, needs_restart, "the settings were read again; some changes need a restart");
    }
}
