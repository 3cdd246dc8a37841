//! Work under a deadline, and the fault of work that was stopped.

use report::{Cause, Fault, Progress};
use sandbox::command::{Deadline, Stopped};
use text::units::show;

/// Runs `work` to its end, or drops it with all its processes when `deadline` passes or the runner is interrupted.
///
/// # Errors
/// The fault of `work`, or a fault for the passed deadline or the interruption.
pub async fn bound<T>(
    deadline: &Deadline,
    progress: Progress,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    tokio::select! {
        done = work => done,
        why = deadline.passed() => Err(stopped(deadline, why, progress)),
    }
}

/// The fault of work that was stopped in `progress`.
pub(super) fn stopped(deadline: &Deadline, why: Stopped, progress: Progress) -> Fault {
    match why {
        Stopped::Deadline => {
            let limit = show(deadline.limit());
            Fault::new(progress, Cause::Limit, format!("timed out after {limit} in {progress}"))
        }
        Stopped::Interrupt => {
            Fault::new(progress, Cause::Interruption, format!("the runner was stopped during {progress}"))
        }
    }
}
