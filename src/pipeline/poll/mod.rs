//! The loop that takes tasks: a free slot first, only then the claim, so that nothing is claimed that cannot start.

mod slots;

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::backend::{Backend, Claim, Error, wire};
use crate::live::Live;
use crate::observe::{Observe, Phase, PollOutcome};
use crate::pipeline::attempt::{Attempts, OnInterrupt, Recorded};
use crate::pipeline::stop::Stop;
use crate::spool::{self, Claimed, Spool};
use crate::task::{Task, TaskId};
use report::{Cause, Fault, Progress};
use slots::{Slot, Slots};
use text::units::interval;
use text::without_secrets;

/// How many tasks at a time, and how often to ask.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Tasks")]
#[group(skip)]
pub struct Settings {
    /// Tasks that run at the same time
    #[arg(long, global = true, env = "RUNNER_CONCURRENT", value_name = "COUNT", default_value_t = 2, value_parser = text::units::count::<1, 1024>)]
    pub concurrent: usize,

    /// Time between requests for a task while there is none
    #[arg(long, global = true, env = "RUNNER_CHECK_INTERVAL", value_name = "DURATION", default_value = "5", value_parser = interval)]
    pub check_interval: Duration,

    /// How long a stopping runner lets its tasks run before it interrupts them; 0: as long as they take
    /// [default: the task timeout]
    #[arg(long, global = true, env = "RUNNER_DRAIN_TIMEOUT", value_name = "DURATION", value_parser = text::units::duration)]
    pub drain_timeout: Option<Duration>,

    /// What happens to a task that the end of the runner interrupts
    #[arg(long, global = true, env = "RUNNER_ON_INTERRUPT", value_enum, default_value_t = OnInterrupt::Report)]
    pub on_interrupt: OnInterrupt,
}

/// The longest pause after the backend could not be asked.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What the loop works with.
#[derive(Debug)]
pub struct Poll {
    settings: Live<Settings>,
    /// Where tasks come from.
    backend: Arc<Backend>,
    /// Where they are written down.
    spool: Spool,
    /// Who answers them.
    attempts: Arc<Attempts>,
    /// Who is told of the loop's progress.
    observe: Observe,
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

/// The loop's own belongings.
struct Round<'a> {
    stop: &'a Stop,
    tasks: JoinSet<()>,
    in_hand: InHand,
    /// The place in the spool for the next claim.
    place: Option<spool::Slot>,
}

impl Poll {
    /// A loop over these parts.
    pub fn new(
        settings: Live<Settings>,
        backend: Arc<Backend>,
        spool: Spool,
        attempts: Arc<Attempts>,
    ) -> Self {
        let observe = attempts.observe.clone();
        observe.slots(settings.get().concurrent);
        Self { settings, backend, spool, attempts, observe }
    }

    /// Runs what an earlier run left in `found`, then takes and runs tasks until `stop` drains; returns when all that
    /// was taken is answered.
    pub async fn run(&self, found: Vec<Claimed>, stop: &Stop) {
        let mut found = VecDeque::from(found);
        let slots = Slots::new(self.settings.clone(), self.observe.clone());
        let mut settings = self.settings.watch();
        let mut round = Round { stop, tasks: JoinSet::new(), in_hand: InHand::default(), place: None };
        let mut failures = 0;
        loop {
            self.observe.phase(Phase::Full, None);
            let slot = tokio::select! {
                biased;
                () = stop.drain.cancelled() => break,
                slot = slots.take() => slot,
            };
            // Else a runner that is never idle would collect the tasks that have ended.
            while round.tasks.try_join_next().is_some() {}
            if let Some(claimed) = found.pop_front() {
                self.again(claimed, slot, &mut round);
                continue;
            }
            // Not raced with the stop: a claim in flight is waited for, within its own deadline.
            self.observe.phase(Phase::Asking, Some(self.backend.max_claim_time()));
            let asked = self.ask(slot, &mut round).await;
            failures = if matches!(asked, Asked::Failed) { failures + 1 } else { 0 };
            let pause = match asked {
                Asked::Taken => continue,
                Asked::Idle => jittered(self.settings.get().check_interval),
                Asked::Failed => self.backoff(failures),
            };
            self.observe.phase(Phase::Pausing, Some(pause));
            tokio::select! {
                biased;
                () = stop.drain.cancelled() => break,
                () = sleep(pause) => {}
                // The interval may be another now.
                Ok(()) = settings.changed() => {}
                // A task has just ended: the backend may well have the next one.
                Some(_) = round.tasks.join_next(), if failures == 0 => {}
            }
        }
        self.observe.phase(Phase::Stopping, None);
        while round.tasks.join_next().await.is_some() {}
    }

    /// Asks the backend once, with a place for the answer in the spool.
    async fn ask(&self, slot: Slot, round: &mut Round<'_>) -> Asked {
        let place = round.place.take().filter(|place| place.check().is_ok());
        let place = match place.map_or_else(|| self.spool.reserve(), Ok) {
            Ok(place) => place,
            Err(error) => {
                tracing::error!(name: "spool_full", target: "critical", %error, "no task is taken: the spool cannot take one");
                self.observe.spool_room(Err(error.to_string()));
                self.observe.polled(PollOutcome::NoRoom);
                return Asked::Failed;
            }
        };
        self.observe.spool_room(Ok(()));
        let (claim, body) = match self.backend.claim(&round.stop.drain).await {
            Ok(answer) => answer,
            Err(error) => {
                round.place = Some(place);
                self.observe.polled(PollOutcome::Failed);
                self.observe.claimable(claimable(&error));
                if !round.stop.drain.is_cancelled() {
                    say_failure(&error);
                }
                return Asked::Failed;
            }
        };
        self.observe.polled(match claim {
            Claim::Task(_) | Claim::Unusable { .. } => PollOutcome::Task,
            Claim::NoWork => PollOutcome::Empty,
            Claim::Unanswerable { .. } | Claim::NotFound => PollOutcome::Failed,
        });
        self.observe.claimable(match &claim {
            Claim::Task(_) | Claim::Unusable { .. } | Claim::NoWork => Ok(()),
            Claim::Unanswerable { reason } => {
                Err(format!("its answer to a question for a task is none: {reason}"))
            }
            Claim::NotFound => Err("it answers 404: is --get-api right?".to_owned()),
        });
        let asked = match claim {
            Claim::Task(_) | Claim::Unusable { .. } => {
                return self.take(claim, body, place, slot, round).await;
            }
            Claim::NoWork => Asked::Idle,
            Claim::Unanswerable { .. } => Asked::Failed,
            Claim::NotFound => {
                tracing::warn!(name: "claim_route_missing", "the backend answered 404 to a question for a task: is --get-api right?");
                Asked::Failed
            }
        };
        round.place = Some(place);
        asked
    }

    /// Writes a claim down, first of all, and then has it answered.
    async fn take(
        &self,
        claim: Claim,
        body: Vec<u8>,
        place: spool::Slot,
        slot: Slot,
        round: &mut Round<'_>,
    ) -> Asked {
        let Some((id, task)) = work_of(claim) else { return Asked::Idle };
        let Some(held) = round.in_hand.take(&id) else {
            tracing::warn!(
                name: "task_duplicate",
                { task.id = id.for_log() },
                "this task is being worked on here already; not run twice"
            );
            round.place = Some(place);
            return Asked::Idle;
        };
        let recorded = write_down(place, id, body).await;
        self.start(recorded, task, (slot, Some(held)), round);
        Asked::Taken
    }

    /// Has a claim of an earlier run answered.
    fn again(&self, claimed: Claimed, slot: Slot, round: &mut Round<'_>) {
        let id = claimed.id().clone();
        tracing::info!(
            name: "task_resumed",
            { task.id = id.for_log(), starts = claimed.starts() },
            "a task of an earlier run is taken up again"
        );
        let task = match work_of(wire::claim_from_body(claimed.task_body())) {
            Some((_, task)) => task,
            // A file that a person has changed, say.
            None => Err(Fault::new(Progress::Claim, Cause::Task, "the spool holds no task under this id")),
        };
        let held = round.in_hand.take(&id);
        self.start(Recorded::Spooled(claimed), task, (slot, held), round);
    }

    /// The id is let go when the answer is written down, and only then: from there on the backend may give it again. The
    /// slot is let go when nothing of the task is left, or what tasks leave would pile up.
    fn start<T: Send + 'static>(
        &self,
        recorded: Recorded,
        task: Result<Task, Fault>,
        (slot, id): (Slot, Option<T>),
        round: &mut Round<'_>,
    ) {
        let (attempts, interrupt) = (self.attempts.clone(), round.stop.interrupt.clone());
        round.tasks.spawn(async move {
            let clearing = attempts.answer(recorded, task, interrupt).await;
            drop(id);
            clearing.end().await;
            drop(slot);
        });
    }

    fn backoff(&self, failures: u32) -> Duration {
        let own = self.settings.get().check_interval;
        jittered(own.saturating_mul(1 << failures.saturating_sub(1).min(6)).min(LONGEST_PAUSE.max(own)))
    }
}

/// What a claim asks for, or why it cannot be run; none where it is no claim.
fn work_of(claim: Claim) -> Option<(TaskId, Result<Task, Fault>)> {
    match claim {
        Claim::Task(task) => Some((task.id.clone(), Ok(task))),
        Claim::Unusable { id, fault } => Some((id, Err(fault))),
        _ => None,
    }
}

/// Writes a claim into its place. Where the disk fails all the same, it is worked on from memory.
async fn write_down(place: spool::Slot, id: TaskId, body: Vec<u8>) -> Recorded {
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
                "this claim could not be written down; it is lost if the runner dies before it is answered"
            );
            Recorded::Unspooled(id)
        }
    }
}

/// A pause of up to a tenth less: many runners must not ask in step, nor later than their interval says.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(1.0 - fastrand::f64() / 10.0)
}

/// Whether the backend hands out tasks, as far as this error can tell.
fn claimable(error: &Error) -> Result<(), String> {
    match error {
        // What it says of the login is another matter, and a busy backend would hand them out.
        Error::Status { status: 401 | 403 | 429, .. } | Error::NoToken(_) => Ok(()),
        _ => Err(error.to_string()),
    }
}

fn say_failure(error: &Error) {
    match error {
        Error::Unreachable { sent: true, .. } | Error::Unreadable { .. } => {
            tracing::error!(name: "claim_possibly_lost", %error, "the backend's answer did not arrive; if it held a task, that task is possibly lost");
        }
        // Said once, loudly, where it was met.
        Error::Status { status: 401 | 403, .. } => {
            tracing::debug!(name: "claim_failed", %error, "the backend could not be asked for a task");
        }
        _ => tracing::warn!(name: "claim_failed", %error, "the backend could not be asked for a task"),
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
