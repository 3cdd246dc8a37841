//! Work under a deadline, and the fault of work that did not meet it.

use report::{Cause, Fault, Stage};
use sandbox::command::{Deadline, Stopped};
use text::units::show;

/// Runs `work` to its end, or drops it with all its processes when `deadline` passes.
///
/// # Errors
/// The fault of `work`, or the one of a passed deadline.
pub(super) async fn bound<T>(
    deadline: &Deadline,
    stage: Stage,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    tokio::select! {
        done = work => done,
        why = deadline.passed() => Err(stopped(deadline, why, stage)),
    }
}

/// The fault of work that was stopped in `stage`.
pub(super) fn stopped(deadline: &Deadline, why: Stopped, stage: Stage) -> Fault {
    match why {
        Stopped::Deadline => {
            let limit = show(deadline.limit());
            Fault::new(stage, Cause::Limit, format!("timed out after {limit} in {stage}"))
        }
        Stopped::Interrupt => {
            Fault::new(stage, Cause::Interruption, format!("the runner was stopped during {stage}"))
        }
    }
}
