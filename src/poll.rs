//! The loop that takes tasks: a free slot first, only then the claim, so that nothing is claimed that cannot start.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::backend::{Backend, Claim, Error};
use crate::deliver::Deliver;
use crate::execute::Bounds;
use crate::report::{Cause, Fault, Report, Stage};
use crate::stop::Stop;
use crate::task::{Task, TaskId};
use crate::units::interval;
use crate::worker::{Source, Worker};

/// How many tasks at a time, and how often to ask.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Tasks")]
#[group(skip)]
pub struct Settings {
    /// Tasks that run at the same time
    #[arg(long, global = true, env = "RUNNER_CONCURRENT", value_name = "COUNT", default_value_t = 2, value_parser = crate::units::count::<1, 1024>)]
    pub concurrent: usize,

    /// Time between questions for a task while there is none
    #[arg(long, global = true, env = "RUNNER_CHECK_INTERVAL", value_name = "DURATION", default_value = "5", value_parser = interval)]
    pub check_interval: Duration,

    /// How long a stopping runner lets its tasks run before it interrupts them; 0: as long as they take
    /// [default: the task timeout]
    #[arg(long, global = true, env = "RUNNER_DRAIN_TIMEOUT", value_name = "DURATION", value_parser = crate::units::duration)]
    pub drain_timeout: Option<Duration>,
}

/// The longest pause after the backend could not be asked.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What the loop works with.
#[derive(Debug)]
pub struct Poll {
    settings: Settings,
    /// Where tasks come from.
    backend: Arc<Backend>,
    /// Who runs them.
    worker: Arc<Worker>,
    /// Who sends the answers.
    deliver: Deliver,
}

/// What one question came to.
enum Asked {
    /// A task was taken: ask again as soon as there is a slot.
    Taken,
    /// There is none for now.
    Idle,
    /// The backend could not be asked.
    Failed,
}

impl Poll {
    /// A loop over these parts.
    pub fn new(settings: Settings, backend: Arc<Backend>, worker: Arc<Worker>, deliver: Deliver) -> Self {
        Self { settings, backend, worker, deliver }
    }

    /// Takes and runs tasks until `stop` drains; returns when all that was taken is answered.
    pub async fn run(&self, stop: &Stop) {
        let slots = Arc::new(Semaphore::new(self.settings.concurrent));
        let in_hand = InHand::default();
        let mut tasks = JoinSet::new();
        let mut failures = 0;
        loop {
            let slot = tokio::select! {
                biased;
                () = stop.drain.cancelled() => break,
                slot = slots.clone().acquire_owned() => slot,
            };
            // The semaphore is never closed.
            let Ok(slot) = slot else { break };
            // Not raced with the stop: a claim in flight is waited for, within its own deadline.
            let asked = self.ask(slot, &in_hand, &mut tasks, stop).await;
            failures = if matches!(asked, Asked::Failed) { failures + 1 } else { 0 };
            let pause = match asked {
                Asked::Taken => continue,
                Asked::Idle => jittered(self.settings.check_interval),
                Asked::Failed => self.backoff(failures),
            };
            tokio::select! {
                biased;
                () = stop.drain.cancelled() => break,
                () = sleep(pause) => {}
                // A task has just ended: the backend may well have the next one.
                Some(_) = tasks.join_next(), if failures == 0 => {}
            }
        }
        while tasks.join_next().await.is_some() {}
    }

    async fn ask(
        &self,
        slot: OwnedSemaphorePermit,
        in_hand: &InHand,
        tasks: &mut JoinSet<()>,
        stop: &Stop,
    ) -> Asked {
        match self.backend.claim(&stop.drain).await {
            Ok(Claim::Task(task)) => {
                let Some(held) = in_hand.take(&task.id) else {
                    tracing::warn!(
                        task.id = task.id.for_log(),
                        "this task is being worked on here already; not run twice"
                    );
                    return Asked::Idle;
                };
                tasks.spawn(self.answer(task, stop, (slot, held)));
                Asked::Taken
            }
            Ok(Claim::Unusable { id, fault }) => {
                tracing::warn!(task.id = id.for_log(), %fault, "a task that cannot be run; answered with an error");
                let report = Report::of_fault(fault, Duration::ZERO);
                self.deliver.submit(id.clone(), self.worker.body(&id, &report)).await;
                Asked::Taken
            }
            Ok(Claim::Unanswerable { .. }) => Asked::Failed,
            Ok(Claim::NoWork) => Asked::Idle,
            Ok(Claim::NotFound) => {
                tracing::warn!("the backend answered 404 to a question for a task: is --get-api right?");
                Asked::Failed
            }
            Err(error) => {
                say_failure(&error);
                Asked::Failed
            }
        }
    }

    /// Runs a task and hands its answer over; `held` is let go after that, and only after.
    fn answer<T: Send + 'static>(
        &self,
        task: Task,
        stop: &Stop,
        held: T,
    ) -> impl Future<Output = ()> + Send + use<T> {
        let (worker, deliver, interrupt) =
            (self.worker.clone(), self.deliver.clone(), stop.interrupt.clone());
        async move {
            let claimed = Instant::now();
            let id = task.id.clone();
            // A task of its own, so that a panic in it is a report too.
            let run = tokio::spawn({
                let worker = worker.clone();
                async move {
                    let bounds = Bounds { until: worker.until(claimed, interrupt), progress: &|_| {} };
                    worker.run(&task, &Source::Repository, claimed, bounds).await
                }
            });
            let report = run.await.unwrap_or_else(|error| {
                tracing::error!(task.id = id.for_log(), %error, "the worker itself failed");
                let message = "the runner itself failed while it worked on this task; its log says more";
                Report::of_fault(
                    Fault::new(Stage::Execute, Cause::Infrastructure, message),
                    claimed.elapsed(),
                )
            });
            deliver.submit(id.clone(), worker.body(&id, &report)).await;
            drop(held);
        }
    }

    fn backoff(&self, failures: u32) -> Duration {
        let own = self.settings.check_interval;
        jittered(own.saturating_mul(1 << failures.saturating_sub(1).min(6)).min(LONGEST_PAUSE.max(own)))
    }
}

/// A pause of up to a tenth less: many runners must not ask in step, nor later than their interval says.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(1.0 - fastrand::f64() / 10.0)
}

fn say_failure(error: &Error) {
    match error {
        Error::Unreachable { sent: true, .. } | Error::Unreadable { .. } => {
            tracing::error!(%error, "the backend's answer did not arrive; if it held a task, that task is possibly lost");
        }
        // Said once, loudly, where it was met.
        Error::Status { status: 401 | 403, .. } => {
            tracing::debug!(%error, "the backend could not be asked for a task");
        }
        _ => tracing::warn!(%error, "the backend could not be asked for a task"),
    }
}

/// The ids of the tasks that are being worked on here.
#[derive(Debug, Clone, Default)]
struct InHand(Arc<Mutex<HashSet<String>>>);

/// An id in hand; dropping it lets it go.
struct Held(InHand, String);

impl InHand {
    fn take(&self, id: &TaskId) -> Option<Held> {
        let text = id.raw().get().to_owned();
        let new = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(text.clone());
        new.then(|| Held(self.clone(), text))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}
