//! The loop that takes tasks.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::active::{ActiveTask, ActiveTasks};
use super::claiming::{record, task_of};
use super::failures::{backoff, claimable, jittered, log};
use super::settings::Settings;
use super::slots::{Slot, Slots};
use crate::backend::{Backend, Claim, wire};
use crate::live::Live;
use crate::observe::{Observe, Phase, PollOutcome};
use crate::pipeline::attempt::{Attempts, Recorded};
use crate::pipeline::stop::Stop;
use crate::spool::{self, Claimed, Spool};
use crate::task::Task;
use report::{Cause, Fault, Progress};

/// The loop that takes tasks from the backend and has them answered.
#[derive(Debug)]
pub struct Poll {
    settings: Live<Settings>,
    /// Hands out tasks.
    backend: Arc<Backend>,
    /// Holds each claim before its task runs.
    spool: Spool,
    /// Runs and answers claims.
    attempts: Arc<Attempts>,
    /// Records the phase of the loop and the results of its requests.
    observe: Observe,
}

/// Result of one request for a task.
enum Requested {
    /// A task was claimed: request the next one as soon as a slot is free.
    Claimed,
    /// There is no task for now.
    NoTask,
    /// The request failed.
    Failed,
}

/// State of the loop between requests.
struct State<'a> {
    stop: &'a Stop,
    tasks: JoinSet<()>,
    active: ActiveTasks,
    /// The reserved place in the spool for the next claim.
    place: Option<spool::Slot>,
}

impl Poll {
    /// Makes the loop of these parts.
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

    /// Runs the claims of an earlier run of the runner, `found` in the spool; then takes and runs tasks until `stop` drains.
    /// Returns when every claim is answered.
    pub async fn run(&self, found: Vec<Claimed>, stop: &Stop) {
        let mut found = VecDeque::from(found);
        let slots = Slots::new(self.settings.clone(), self.observe.clone());
        let mut settings = self.settings.watch();
        let mut state = State { stop, tasks: JoinSet::new(), active: ActiveTasks::default(), place: None };
        let mut failures = 0;
        loop {
            self.observe.phase(Phase::Full, None);
            let slot = tokio::select! {
                biased;
                () = stop.drain.cancelled() => break,
                slot = slots.take() => slot,
            };
            // A runner that is never idle would otherwise collect the handles of tasks that have ended.
            while state.tasks.try_join_next().is_some() {}
            if let Some(claimed) = found.pop_front() {
                self.resume(claimed, slot, &mut state);
                continue;
            }
            // The stop does not end a request under way: its answer may be a claim. The request has a deadline of its own.
            self.observe.phase(Phase::Asking, Some(self.backend.max_claim_time()));
            let requested = self.request(slot, &mut state).await;
            failures = if matches!(requested, Requested::Failed) { failures + 1 } else { 0 };
            let pause = match requested {
                Requested::Claimed => continue,
                Requested::NoTask => jittered(self.settings.get().check_interval),
                Requested::Failed => backoff(failures, self.settings.get().check_interval),
            };
            self.observe.phase(Phase::Pausing, Some(pause));
            tokio::select! {
                biased;
                () = stop.drain.cancelled() => break,
                () = sleep(pause) => {}
                // The interval may have changed.
                Ok(()) = settings.changed() => {}
                // A task has just ended: the backend may have the next one.
                Some(_) = state.tasks.join_next(), if failures == 0 => {}
            }
        }
        self.observe.phase(Phase::Stopping, None);
        while state.tasks.join_next().await.is_some() {}
    }

    /// Requests a task once. Reserves a place in the spool for it first.
    async fn request(&self, slot: Slot, state: &mut State<'_>) -> Requested {
        let place = state.place.take().filter(|place| place.check().is_ok());
        let place = match place.map_or_else(|| self.spool.reserve(), Ok) {
            Ok(place) => place,
            Err(error) => {
                tracing::error!(name: "spool_full", target: "critical", %error, "the runner takes no task, because the spool has no room for it");
                self.observe.spool_room(Err(error.to_string()));
                self.observe.polled(PollOutcome::NoRoom);
                return Requested::Failed;
            }
        };
        self.observe.spool_room(Ok(()));
        let (claim, body) = match self.backend.claim(&state.stop.drain).await {
            Ok(answer) => answer,
            Err(error) => {
                state.place = Some(place);
                self.observe.polled(PollOutcome::Failed);
                self.observe.claimable(claimable(&error));
                if !state.stop.drain.is_cancelled() {
                    log(&error);
                }
                return Requested::Failed;
            }
        };
        self.observe_answer(&claim);
        let requested = match claim {
            Claim::Task(_) | Claim::Unusable { .. } => {
                return self.take(claim, body, place, slot, state).await;
            }
            Claim::NoWork => Requested::NoTask,
            Claim::Unanswerable { .. } => Requested::Failed,
            Claim::NotFound => {
                tracing::warn!(name: "claim_route_missing", "the backend answered 404 to a request for a task: is --get-api right?");
                Requested::Failed
            }
        };
        state.place = Some(place);
        requested
    }

    /// Records the kind of the backend's answer.
    fn observe_answer(&self, claim: &Claim) {
        self.observe.polled(match claim {
            Claim::Task(_) | Claim::Unusable { .. } => PollOutcome::Task,
            Claim::NoWork => PollOutcome::Empty,
            Claim::Unanswerable { .. } | Claim::NotFound => PollOutcome::Failed,
        });
        self.observe.claimable(match claim {
            Claim::Task(_) | Claim::Unusable { .. } | Claim::NoWork => Ok(()),
            Claim::Unanswerable { reason } => {
                Err(format!("its answer to a request for a task cannot be read: {reason}"))
            }
            Claim::NotFound => Err("it answers 404: is --get-api right?".to_owned()),
        });
    }

    /// Writes a claim to the spool and starts to answer it.
    async fn take(
        &self,
        claim: Claim,
        body: Vec<u8>,
        place: spool::Slot,
        slot: Slot,
        state: &mut State<'_>,
    ) -> Requested {
        let Some((id, task)) = task_of(claim) else { return Requested::NoTask };
        let Some(active) = state.active.add(&id) else {
            tracing::warn!(
                name: "task_duplicate",
                { task.id = id.for_log() },
                "the backend has handed out a task that this runner is working on already; it is not run twice"
            );
            state.place = Some(place);
            return Requested::NoTask;
        };
        let recorded = record(place, id, body).await;
        self.start(recorded, task, (slot, Some(active)), state);
        Requested::Claimed
    }

    /// Starts to answer a claim of an earlier run of the runner.
    fn resume(&self, claimed: Claimed, slot: Slot, state: &mut State<'_>) {
        let id = claimed.id().clone();
        tracing::info!(
            name: "task_resumed",
            { task.id = id.for_log(), starts = claimed.starts() },
            "running a task of an earlier run of the runner again"
        );
        let task = match task_of(wire::claim_from_body(claimed.task_body())) {
            Some((_, task)) => task,
            // Somebody has changed the file, for example.
            None => Err(Fault::new(Progress::Claim, Cause::Task, "the spool holds no task under this id")),
        };
        let active = state.active.add(&id);
        self.start(Recorded::Spooled(claimed), task, (slot, active), state);
    }

    /// Starts to answer a claim. The task is active until its result is in the spool; from then on the backend may hand it
    /// out again. The slot is free when the files of the task are removed; otherwise they could pile up.
    fn start(
        &self,
        recorded: Recorded,
        task: Result<Task, Fault>,
        (slot, active): (Slot, Option<ActiveTask>),
        state: &mut State<'_>,
    ) {
        let (attempts, interrupt) = (self.attempts.clone(), state.stop.interrupt.clone());
        state.tasks.spawn(async move {
            let clearing = attempts.answer(recorded, task, interrupt).await;
            drop(active);
            clearing.end().await;
            drop(slot);
        });
    }
}
