//! From the backend's answer to a claim in the spool.

use std::sync::Arc;

use crate::backend::Claim;
use crate::pipeline::attempt::Recorded;
use crate::spool;
use crate::task::{Task, TaskId};
use report::Fault;
use text::without_secrets;

/// The id of a claim and its task, or why the task cannot be run. `None` if the answer is no claim.
pub(super) fn task_of(claim: Claim) -> Option<(TaskId, Result<Task, Fault>)> {
    match claim {
        Claim::Task(task) => Some((task.id.clone(), Ok(task))),
        Claim::Unusable { id, fault } => Some((id, Err(fault))),
        _ => None,
    }
}

/// Writes a claim into its reserved place in the spool. If the disk fails nevertheless, the runner works on it from memory.
pub(super) async fn record(place: spool::Slot, id: TaskId, body: Vec<u8>) -> Recorded {
    let body = Arc::new(body);
    let (name, bytes) = (id.clone(), body.clone());
    let written =
        tokio::task::spawn_blocking(move || place.claim(&name, &bytes).map_err(|(_, error)| error)).await;
    match written.map_err(std::io::Error::other).and_then(|written| written) {
        Ok(claimed) => Recorded::Spooled(claimed),
        Err(error) => {
            let body = String::from_utf8_lossy(&body);
            // As a string, which the log escapes.
            tracing::error!(
                name: "claim_unspooled",
                target: "critical", { task.id = id.for_log(), %error, body = &*without_secrets(&body) },
                "cannot write this claim to the spool; it is lost if the runner dies before it answers the task"
            );
            Recorded::Unspooled(id)
        }
    }
}
