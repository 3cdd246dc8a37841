//! The rule for repeated tries: infrastructure faults, a few times.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};

use report::{Cause, Fault};

/// Runs `work` up to `attempts` times, as long as it fails with an infrastructure fault. The pauses grow from 1 to 15 s.
/// `what` names the work in the log.
///
/// # Errors
/// The fault of the last try.
pub async fn infrastructure<T, F>(attempts: usize, what: &str, work: impl FnMut() -> F) -> Result<T, Fault>
where
    F: Future<Output = Result<T, Fault>>,
{
    let pauses = ExponentialBuilder::default()
        .with_min_delay(Duration::from_secs(1))
        .with_max_delay(Duration::from_secs(15))
        .with_max_times(attempts.saturating_sub(1))
        .with_jitter();
    work.retry(pauses)
        .sleep(tokio::time::sleep)
        .when(|fault: &Fault| fault.cause == Cause::Infrastructure)
        .notify(
            |fault, pause| tracing::warn!(name: "retrying", %fault, ?pause, "{what} failed; trying again"),
        )
        .await
}
