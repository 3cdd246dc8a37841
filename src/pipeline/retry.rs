//! The one rule for what is tried again here: infrastructure faults, a few times, before anyone is told.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};

use report::{Cause, Fault};

/// Runs `work`, again up to `attempts` times in all where it ends in an infrastructure fault, within about a minute.
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
