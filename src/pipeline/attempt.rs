//! An attempt: runs a claimed task, writes its result to the spool and submits it for delivery. The spool holds the claim
//! until it holds the result, so that after a crash at any point the task is run again.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::executors::Bounds;
use crate::observe::{Observe, TaskWatch};
use crate::pipeline::deliver::Deliver;
use crate::pipeline::worker::{Cleanup, Source, Worker};
use crate::spool::{Claimed, Finished, MAX_STARTS};
use crate::task::{Task, TaskId};
use report::{Cause, Fault, Progress, Report};

/// What happens to a task that the end of the runner interrupts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum OnInterrupt {
    /// It is answered as interrupted
    Report,
    /// It stays in the spool and is run again at the next start
    Resume,
}

/// A claim, with its place in the spool if it has one.
pub enum Recorded {
    /// In the spool.
    Spooled(Claimed),
    /// In memory only, because the disk did not take it.
    Unspooled(TaskId),
}

impl Recorded {
    fn id(&self) -> &TaskId {
        match self {
            Self::Spooled(claimed) => claimed.id(),
            Self::Unspooled(id) => id,
        }
    }
}

/// Runs and answers claims.
#[derive(Debug)]
pub struct Attempts {
    /// Runs tasks.
    pub worker: Arc<Worker>,
    /// Sends results.
    pub deliver: Deliver,
    /// What happens to interrupted tasks.
    pub on_interrupt: OnInterrupt,
    /// Records the progress of each task.
    pub observe: Observe,
}

impl Attempts {
    /// Answers a claim: runs `task`, or reports its fault. Returns once the result is in the spool; the returned cleanup is
    /// still removing the files of the task.
    pub async fn answer(
        &self,
        mut recorded: Recorded,
        task: Result<Task, Fault>,
        interrupt: CancellationToken,
    ) -> Cleanup {
        let started = Instant::now();
        let again = matches!(&recorded, Recorded::Spooled(claimed) if !claimed.is_fresh());
        let watched = Arc::new(self.observe.task(recorded.id(), again));
        let (report, cleanup) = match task.and_then(|task| died_before(&recorded).map_or(Ok(task), Err)) {
            Err(fault) => {
                tracing::warn!(name: "task_not_run", { task.id = recorded.id().for_log(), progress = %fault.progress, cause = ?fault.cause, %fault }, "the task is not run; its result is an error");
                (Report::of_fault(fault, started.elapsed()), Cleanup::default())
            }
            Ok(task) => {
                if !begin(&mut recorded, &interrupt).await {
                    return Cleanup::default();
                }
                self.run(task, started, interrupt.clone(), watched.clone()).await
            }
        };
        let interrupted = report.fault.as_ref().is_some_and(|fault| fault.cause == Cause::Interruption);
        let recorded = match recorded {
            Recorded::Spooled(claimed) if interrupted && self.on_interrupt == OnInterrupt::Resume => {
                put_back(claimed);
                return cleanup;
            }
            // A claim that is in memory only is answered now, since the next start would not find it.
            recorded => recorded,
        };
        watched.done(&report);
        let body = self.worker.body(recorded.id(), &report);
        match recorded {
            Recorded::Unspooled(id) => self.deliver.submit_unspooled(id, body).await,
            Recorded::Spooled(claimed) => {
                if let Some(finished) = finish(claimed, body, &interrupt).await {
                    self.deliver.submit(finished).await;
                }
            }
        }
        cleanup
    }

    async fn run(
        &self,
        task: Task,
        started: Instant,
        interrupt: CancellationToken,
        watched: Arc<TaskWatch>,
    ) -> (Report, Cleanup) {
        let (worker, id) = (self.worker.clone(), task.id.clone());
        // In a task of the runtime, so that a panic becomes a report.
        let run = tokio::spawn(async move {
            let progress = move |progress| watched.progress(progress);
            let bounds = Bounds { deadline: worker.deadline(started, interrupt), progress: &progress };
            worker.run(&task, &Source::Repository, started, bounds).await
        });
        run.await.unwrap_or_else(|error| {
            tracing::error!(name: "worker_failed", { task.id = id.for_log(), %error }, "the worker panicked");
            let message = "the runner itself failed while it ran this task; see its log";
            let fault = Fault::new(Progress::Execute, Cause::Infrastructure, message);
            (Report::of_fault(fault, started.elapsed()), Cleanup::default())
        })
    }
}

/// The fault of a claim that the runner does not try again, because it has died too often while it ran the task.
fn died_before(recorded: &Recorded) -> Option<Fault> {
    let Recorded::Spooled(claimed) = recorded else { return None };
    let died = claimed.deaths();
    (died >= MAX_STARTS).then(|| {
        let message = format!("the runner died {died} times while it ran this task; it does not try again");
        Fault::new(Progress::Execute, Cause::Infrastructure, message)
    })
}

/// Counts a start in the spool before anything of the task runs; repeats it while the disk fails. Returns false if the
/// runner is interrupted meanwhile.
async fn begin(recorded: &mut Recorded, interrupt: &CancellationToken) -> bool {
    let Recorded::Spooled(claimed) = recorded else { return true };
    loop {
        // Blocks for a short time only: the start of a fresh claim is counted already.
        match claimed.begin() {
            Ok(_) => return true,
            Err(error) => log_spool_full("cannot count a start in the spool", claimed.id(), &error),
        }
        if interrupt.run_until_cancelled(sleep(Duration::from_secs(5))).await.is_none() {
            return false;
        }
    }
}

/// Writes a result to the spool; repeats it while the disk fails. Returns `None` if the runner is interrupted meanwhile: the
/// next start runs the claim again.
async fn finish(mut claimed: Claimed, body: Vec<u8>, interrupt: &CancellationToken) -> Option<Finished> {
    let body = Arc::new(body);
    loop {
        let bytes = body.clone();
        let finished = tokio::task::spawn_blocking(move || claimed.finish(&bytes)).await;
        match finished.ok()? {
            Ok(finished) => return Some(finished),
            Err((back, error)) => {
                log_spool_full("cannot write a result to the spool; trying again", back.id(), &error);
                claimed = back;
            }
        }
        interrupt.run_until_cancelled(sleep(Duration::from_secs(2))).await?;
    }
}

/// Leaves an interrupted claim in the spool for the next start.
fn put_back(claimed: Claimed) {
    let id = claimed.id().for_log();
    match claimed.put_back() {
        Ok(()) => {
            tracing::info!(name: "task_put_back", { task.id = id }, "the task was interrupted; the next start runs it again");
        }
        Err(error) => {
            tracing::warn!(name: "task_put_back", { task.id = id, %error }, "the task was interrupted; the next start runs it again, and counts this start");
        }
    }
}

fn log_spool_full(message: &str, id: &TaskId, error: &io::Error) {
    tracing::error!(name: "spool_full", target: "critical", { task.id = id.for_log(), %error }, "{message}");
}
