//! Decides after each failed attempt what happens to a result.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::shared::Shared;
use crate::backend::Error;

/// The longest pause between two attempts, before jitter.
const MAX_PAUSE: Duration = Duration::from_secs(300);

/// The same for a result that the backend seems unable to take.
const MAX_SUSPECT_PAUSE: Duration = Duration::from_secs(3600);

/// The longest `Retry-After` that is honoured.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Number of empty answers in a row to the same result that count as acceptance.
const EMPTY_RECEIPTS: u32 = 3;

/// Number of equal answers in a row to one result, while the backend accepts others, that make the result suspect.
const SUSPECT_ANSWERS: u32 = 5;

/// HTTP status with which a backend, or a proxy before it, refuses a body over its limit.
pub(super) const TOO_LARGE: u16 = 413;

/// What happens to a result after a failed attempt.
pub(super) enum Next {
    /// It counts as accepted.
    Done,
    /// It was refused for good, with this HTTP status.
    Reject(u16),
    /// It is sent again after this pause.
    Wait(Duration),
}

/// The failed attempts of one result, and what follows from them.
pub(super) struct Schedule {
    failures: u32,
    /// Number of results that the backend had accepted when this delivery began.
    accepted_before: u64,
    /// Whether the last answer refused the result for good.
    refused_before: bool,
    /// Number of empty answers in a row.
    empty_receipts: u32,
    /// The HTTP status of the last answer (0: none), and how many times in a row it came.
    same_status: (u16, u32),
}

impl Schedule {
    /// `accepted` is the number of results that the backend has accepted so far.
    pub(super) fn new(accepted: u64) -> Self {
        Self {
            failures: 0,
            accepted_before: accepted,
            refused_before: false,
            empty_receipts: 0,
            same_status: (0, 0),
        }
    }

    /// Number of failed attempts so far.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Counts a failed attempt for the result of task `id` and decides what happens to it.
    pub(super) fn failed(&mut self, error: &Error, id: &str, shared: &Shared) -> Next {
        self.failures += 1;
        // Sending twice is harmless, losing is not: only a backend that always answers with an empty body means "accepted".
        self.empty_receipts =
            if matches!(error, Error::EmptyReceipt { .. }) { self.empty_receipts + 1 } else { 0 };
        if self.empty_receipts == EMPTY_RECEIPTS {
            shared.backend.accept_empty_receipts();
            return Next::Done;
        }
        let status = if let Error::Status { status, .. } = error { *status } else { 0 };
        let for_good = matches!(status, 400 | 409 | 422);
        if for_good && self.refused_before {
            return Next::Reject(status);
        }
        self.refused_before = for_good;
        self.same_status = match self.same_status {
            (before, times) if before == status => (before, times + 1),
            _ => (status, 1),
        };
        let accepts_others = shared.accepted.load(Ordering::Relaxed) > self.accepted_before;
        let suspect = self.same_status.1 >= SUSPECT_ANSWERS && accepts_others;
        match status {
            404 if suspect => Next::Reject(status),
            TOO_LARGE | 500..=599 if suspect => {
                let times = self.same_status.1;
                tracing::error!(name: "delivery_poisoned", { task.id = id, %error, times }, "the backend fails on this result while it accepts others");
                Next::Wait(self.pause(error, MAX_SUSPECT_PAUSE))
            }
            TOO_LARGE => {
                if self.same_status.1 == 1 {
                    tracing::error!(
                        name: "result_too_large",
                        target: "critical",
                        { task.id = id, %error },
                        "the backend, or a proxy before it, refuses this result as too large, and it cannot be made smaller; raise the limit there (the runner keeps trying, less and less often)"
                    );
                }
                Next::Wait(self.pause(error, MAX_PAUSE))
            }
            _ => Next::Wait(self.pause(error, MAX_PAUSE)),
        }
    }

    /// The pause before the next attempt: exponential backoff with full jitter above a floor of 100 ms, or a longer
    /// `Retry-After`.
    fn pause(&self, error: &Error, longest: Duration) -> Duration {
        // A limit on sizes is a setting and does not go away by itself; and each attempt makes several requests.
        let too_large = matches!(error, Error::Status { status: TOO_LARGE, .. });
        let exponent = self.failures + if too_large { 5 } else { 0 };
        let ceiling = Duration::from_millis(500).saturating_mul(1 << exponent.min(13)).min(longest);
        let backoff = Duration::from_millis(100) + ceiling.mul_f64(fastrand::f64());
        match error {
            Error::Status { retry_after: Some(after), .. } => backoff.max((*after).min(MAX_RETRY_AFTER)),
            _ => backoff,
        }
    }
}
