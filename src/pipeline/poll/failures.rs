//! Failed requests for a task: what they mean for the status, what the log says, and the pause after them.

use std::time::Duration;

use crate::backend::Error;

/// The longest pause after failed requests, unless the interval between requests is longer.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// The pause after `failures` failed requests in a row: doubles from `interval` on.
pub(super) fn backoff(failures: u32, interval: Duration) -> Duration {
    let doubled = interval.saturating_mul(1 << failures.saturating_sub(1).min(6));
    jittered(doubled.min(MAX_PAUSE.max(interval)))
}

/// `pause` shortened by up to a tenth, so that many runners do not send their requests at the same moment. Never longer
/// than the interval that the settings give.
pub(super) fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(1.0 - fastrand::f64() / 10.0)
}

/// Whether the backend hands out tasks, as far as `error` shows; if not, why.
pub(super) fn claimable(error: &Error) -> Result<(), String> {
    match error {
        // A refused login has a status of its own, and a busy backend does hand out tasks.
        Error::Status { status: 401 | 403 | 429, .. } | Error::NoToken(_) => Ok(()),
        _ => Err(error.to_string()),
    }
}

/// Logs a failed request for a task.
pub(super) fn log(error: &Error) {
    match error {
        Error::Unreachable { sent: true, .. } | Error::Unreadable { .. } => {
            tracing::error!(name: "claim_possibly_lost", %error, "the backend's answer did not arrive; if it held a task, that task may be lost");
        }
        // The login has logged this one, as an error.
        Error::Status { status: 401 | 403, .. } => {
            tracing::debug!(name: "claim_failed", %error, "the request for a task failed");
        }
        _ => tracing::warn!(name: "claim_failed", %error, "the request for a task failed"),
    }
}
