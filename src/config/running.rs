//! What can change while the runner runs, and the names of these settings.

use std::time::Duration;

use super::Settings;
use crate::live::Live;
use crate::{backend, git, pipeline::poll, pipeline::worker};

/// The settings that a reload changes, but for `logger_level`, which is the log's.
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

/// The values in force. Tasks that run keep those that they began with.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each is documented where it is owned")]
pub struct Running {
    pub timeouts: Live<backend::Timeouts>,
    pub poll: Live<poll::Settings>,
    pub worker: Live<worker::Settings>,
    pub checkout: Live<git::Settings>,
    /// How long a drain may last; 0: as long as it takes.
    pub drain: Live<Duration>,
}

impl Running {
    /// Begins with `settings`.
    pub fn new(settings: &Settings) -> Self {
        Self {
            timeouts: Live::new(settings.backend.timeouts()),
            poll: Live::new(settings.poll.clone()),
            worker: Live::new(settings.worker.clone()),
            checkout: Live::new(settings.checkout.clone()),
            drain: Live::new(drain(settings)),
        }
    }

    /// Changes to what `settings` say.
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
    use crate::config::tests::command;

    #[test]
    fn what_is_changeable_is_a_setting() {
        let known: Vec<_> = command().get_arguments().map(file::key).collect();
        let unknown: Vec<_> =
            CHANGEABLE.iter().filter(|key| !known.iter().any(|known| known == *key)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
