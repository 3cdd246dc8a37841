//! The settings that a reload changes.

use std::time::Duration;

use super::Settings;
use crate::live::Live;
use crate::{backend, git, pipeline::poll, pipeline::worker};

/// Keys of the settings that a reload changes. The log changes `logger_level` itself.
pub const CHANGEABLE: &[&str] = &[
    "request_timeout",
    "claim_timeout",
    "concurrent",
    "check_interval",
    "drain_timeout",
    "timeout",
    "attempts",
    "allow_local_repositories",
    "max_repository",
    "max_repository_files",
    "checkout_timeout",
];

/// The current values. A running task keeps those with which it started.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each module documents its own")]
pub struct Running {
    pub timeouts: Live<backend::Timeouts>,
    pub poll: Live<poll::Settings>,
    pub worker: Live<worker::Settings>,
    pub checkout: Live<git::Settings>,
    /// Time limit of a drain; 0 for none.
    pub drain: Live<Duration>,
}

impl Running {
    /// Takes the values from `settings`.
    pub fn new(settings: &Settings) -> Self {
        Self {
            timeouts: Live::new(settings.backend.timeouts()),
            poll: Live::new(settings.poll.clone()),
            worker: Live::new(settings.worker.clone()),
            checkout: Live::new(settings.checkout.clone()),
            drain: Live::new(drain(settings)),
        }
    }

    /// Replaces the values by those of `settings`.
    pub fn change(&self, settings: &Settings) {
        self.timeouts.set(settings.backend.timeouts());
        self.poll.set(settings.poll.clone());
        self.worker.set(settings.worker.clone());
        self.checkout.set(settings.checkout.clone());
        self.drain.set(drain(settings));
    }
}

fn drain(settings: &Settings) -> Duration {
    settings.poll.drain_timeout.unwrap_or(settings.worker.timeout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file;
    use crate::config::settings::tests::command;

    #[test]
    fn changeable_keys_are_settings() {
        let known: Vec<_> = command().get_arguments().map(file::key).collect();
        let unknown: Vec<_> =
            CHANGEABLE.iter().filter(|key| !known.iter().any(|known| known == *key)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
