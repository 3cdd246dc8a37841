//! One claim from the spool to its answer: run, written down, and handed to the delivery. What the spool holds it
//! holds until there is an answer, so that a crash at any point only means "again".

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::executors::Bounds;
use crate::observe::{Observe, TaskWatch};
use crate::pipeline::deliver::Deliver;
use crate::pipeline::worker::{Clearing, Source, Worker};
use crate::spool::{Claimed, Finished, MAX_STARTS};
use crate::task::{Task, TaskId};
use report::{Cause, Fault, Progress, Report};

/// What becomes of a task that is interrupted by the runner's own end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum OnInterrupt {
    /// It is answered as interrupted
    Report,
    /// It stays in the spool and is run again at the next start
    Resume,
}

/// A claim, and where it is written down.
pub enum Recorded {
    /// In the spool.
    Spooled(Claimed),
    /// Nowhere: the disk did not take it.
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

/// Who runs and answers claims.
#[derive(Debug)]
pub struct Attempts {
    /// Who runs tasks.
    pub worker: Arc<Worker>,
    /// Who sends results.
    pub deliver: Deliver,
    /// What becomes of interrupted tasks.
    pub on_interrupt: OnInterrupt,
    /// Who is told of it all.
    pub observe: Observe,
}

impl Attempts {
    /// Answers a claim: runs `task`, or says what is wrong with it. What the task has left is still being removed then.
    pub async fn answer(
        &self,
        mut recorded: Recorded,
        task: Result<Task, Fault>,
        interrupt: CancellationToken,
    ) -> Clearing {
        let started = Instant::now();
        let again = matches!(&recorded, Recorded::Spooled(claimed) if !claimed.is_fresh());
        let watched = Arc::new(self.observe.task(recorded.id(), again));
        let (report, clearing) = match task.and_then(|task| died_before(&recorded).map_or(Ok(task), Err)) {
            Err(fault) => {
                tracing::warn!(name: "task_not_run", { task.id = recorded.id().for_log(), progress = %fault.progress, cause = ?fault.cause, %fault }, "a task that is not run; answered with an error");
                (Report::of_fault(fault, started.elapsed()), Clearing::default())
            }
            Ok(task) => {
                if !begin(&mut recorded, &interrupt).await {
                    return Clearing::default();
                }
                self.run(task, started, interrupt.clone(), watched.clone()).await
            }
        };
        let interrupted = report.fault.as_ref().is_some_and(|fault| fault.cause == Cause::Interruption);
        let recorded = match recorded {
            Recorded::Spooled(claimed) if interrupted && self.on_interrupt == OnInterrupt::Resume => {
                put_back(claimed);
                return clearing;
            }
            // What only memory holds, no next start would find.
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
        clearing
    }

    async fn run(
        &self,
        task: Task,
        started: Instant,
        interrupt: CancellationToken,
        watched: Arc<TaskWatch>,
    ) -> (Report, Clearing) {
        let (worker, id) = (self.worker.clone(), task.id.clone());
        // A task of its own, so that a panic in it is a report too.
        let run = tokio::spawn(async move {
            let progress = move |progress| watched.progress(progress);
            let bounds = Bounds { deadline: worker.deadline(started, interrupt), progress: &progress };
            worker.run(&task, &Source::Repository, started, bounds).await
        });
        run.await.unwrap_or_else(|error| {
            tracing::error!(name: "worker_failed", { task.id = id.for_log(), %error }, "the worker itself failed");
            let message = "the runner itself failed while it worked on this task; its log says more";
            let fault = Fault::new(Progress::Execute, Cause::Infrastructure, message);
            (Report::of_fault(fault, started.elapsed()), Clearing::default())
        })
    }
}

/// The fault of a claim on which the runner has died too often to try it once more.
fn died_before(recorded: &Recorded) -> Option<Fault> {
    let Recorded::Spooled(claimed) = recorded else { return None };
    let died = claimed.deaths();
    (died >= MAX_STARTS).then(|| {
        let message =
            format!("the runner died {died} times while it worked on this task; it is not tried again");
        Fault::new(Progress::Execute, Cause::Infrastructure, message)
    })
}

/// Counts a start in the spool, before anything of the task runs. False: the runner is to stop instead.
async fn begin(recorded: &mut Recorded, interrupt: &CancellationToken) -> bool {
    let Recorded::Spooled(claimed) = recorded else { return true };
    loop {
        // Short: a fresh claim has its start counted already.
        match claimed.begin() {
            Ok(_) => return true,
            Err(error) => say_full("cannot count a start", claimed.id(), &error),
        }
        if interrupt.run_until_cancelled(sleep(Duration::from_secs(5))).await.is_none() {
            return false;
        }
    }
}

/// Writes a result down, however long the disk has no room for it. None: the runner stops; the claim is run again.
async fn finish(mut claimed: Claimed, body: Vec<u8>, interrupt: &CancellationToken) -> Option<Finished> {
    let body = Arc::new(body);
    loop {
        let bytes = body.clone();
        let finished = tokio::task::spawn_blocking(move || claimed.finish(&bytes)).await;
        match finished.ok()? {
            Ok(finished) => return Some(finished),
            Err((back, error)) => {
                say_full("the result cannot be written down; it is tried again", back.id(), &error);
                claimed = back;
            }
        }
        interrupt.run_until_cancelled(sleep(Duration::from_secs(2))).await?;
    }
}

fn put_back(claimed: Claimed) {
    let id = claimed.id().for_log();
    match claimed.put_back() {
        Ok(()) => {
            tracing::info!(name: "task_put_back", { task.id = id }, "interrupted; it is run again at the next start");
        }
        Err(error) => {
            tracing::warn!(name: "task_put_back", { task.id = id, %error }, "interrupted; it is run again, and this start counts");
        }
    }
}

fn say_full(what: &str, id: &TaskId, error: &io::Error) {
    tracing::error!(name: "spool_full", target: "critical", { task.id = id.for_log(), %error }, "{what}");
}
