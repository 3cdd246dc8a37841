//! One worker, one task after the other, at several levels of confinement and by hand, in turn, so that all meet the same
//! machine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mock_backend::{Attempt, MockBackend, NewTask, TaskId};
use tokio::time::sleep;

use crate::Form;
use crate::daemon::{Daemon, Options};
use crate::gauge;
use crate::hand::{self, Hand, epoch, middle};
use crate::rows::Row;
use crate::stages::Stages;
use crate::stats::{median, quantile};
use crate::world::{World, all_answered};

/// Tasks before anything counts.
const WARM: usize = 3;

/// What was measured at one level of confinement.
#[derive(Debug)]
pub(crate) struct Latency {
    asked: &'static str,
    level: String,
    /// From the backend's answer to the accepted result, in milliseconds.
    answers: Vec<f64>,
    /// From an accepted result to the next claim; below zero where the claim came first.
    gaps: Vec<f64>,
    /// From the hand-in of a task to its claim, where the runner was idle.
    waits: Vec<f64>,
    hands: Arc<[hand::Task]>,
    pub(crate) stages: Stages,
}

/// The interval of an idle runner here: a bench cannot wait five seconds each time.
const INTERVAL: Duration = Duration::from_millis(200);

/// Measures with each `--sandbox` of `levels`, and by hand, round by round in turn.
pub(crate) async fn measure<const N: usize>(
    world: &World,
    form: Form,
    levels: [&'static str; N],
) -> Result<[Latency; N], String> {
    let mut lanes = Vec::new();
    for asked in levels {
        lanes.push(Lane::start(world, asked).await?);
    }
    let by_hand = world.backend().await?;
    let hand = Hand::new(world, &lanes[0].daemon.state, &by_hand)?;
    let mut hands = Vec::new();
    for round in 0..form.rounds {
        // Each is the first as often as the others.
        for turn in 0..N {
            lanes[(round + turn) % N].round(world, round, form.in_a_round).await?;
        }
        sleep(Duration::from_millis(50)).await;
        hands.extend(do_by_hand(world, &hand, &by_hand, form.in_a_round, hands.len()).await?);
    }
    let hands: Arc<[hand::Task]> = hands.into();
    let mut measured = Vec::new();
    for lane in lanes {
        measured.push(lane.end(form, hands.clone()).await?);
    }
    measured.try_into().map_err(|_| "a level was lost".to_owned())
}

/// A runner at one level, with a backend of its own.
struct Lane {
    asked: &'static str,
    backend: MockBackend,
    daemon: Daemon,
}

impl Lane {
    async fn start(world: &World, asked: &'static str) -> Result<Self, String> {
        let backend = world.backend().await?;
        let interval = format!("{}ms", INTERVAL.as_millis());
        // They run at the same time.
        let state = format!("state-{asked}");
        let options = Options {
            state: &state,
            sandbox: asked,
            interval: &interval,
            log: "debug",
            ..Options::default()
        };
        let daemon = Daemon::start(world, &backend, options)?;
        world.submit(&backend, &format!("warm-{asked}"), 0, WARM);
        all_answered(&backend).await.map_err(|error| format!("{error}\n{}", daemon.log()))?;
        Ok(Self { asked, backend, daemon })
    }

    async fn round(&self, world: &World, round: usize, tasks: usize) -> Result<(), String> {
        // The last delivery is to be over, and the pause at which a task meets it by chance.
        sleep(Duration::from_millis(fastrand::u64(50..250))).await;
        world.submit(&self.backend, self.asked, round * tasks, tasks);
        all_answered(&self.backend).await
    }

    async fn end(self, form: Form, hands: Arc<[hand::Task]>) -> Result<Latency, String> {
        let Self { asked, backend, daemon } = self;
        let clock = (Instant::now(), epoch());
        let (level, log) = (daemon.level(), daemon.log());
        daemon.stop().await?;
        let attempts = &backend.attempts()[WARM..];
        let stages = Stages::of(&level, attempts, &log, &hands, clock);
        let (answers, gaps, waits) = (Vec::new(), Vec::new(), Vec::new());
        let mut latency = Latency { asked, level, answers, gaps, waits, hands, stages };
        latency.note(attempts, form.in_a_round);
        Ok(latency)
    }
}

/// Rounds by hand, beside the runtime's own thread, which serves the two requests.
async fn do_by_hand(
    world: &World,
    hand: &Hand,
    backend: &MockBackend,
    count: usize,
    so_far: usize,
) -> Result<Vec<hand::Task>, String> {
    let mut done = Vec::new();
    for number in so_far..so_far + count {
        let id = TaskId::string(&format!("hand-{number}"));
        backend.submit(NewTask::new(&world.student(), "main").id(id.clone()));
        let hand = hand.clone();
        let task = tokio::task::spawn_blocking(move || hand.task(&id)).await;
        done.push(task.map_err(|error| error.to_string())??);
    }
    Ok(done)
}

impl Latency {
    fn note(&mut self, attempts: &[Attempt], in_a_round: usize) {
        let ms = |from: Instant, to: Instant| {
            let back = from.saturating_duration_since(to).as_secs_f64();
            (to.saturating_duration_since(from).as_secs_f64() - back) * 1e3
        };
        for round in attempts.chunks(in_a_round) {
            let mut before = None;
            for attempt in round {
                let (Some(claimed), Some(result)) = (attempt.claimed, &attempt.result) else { continue };
                self.answers.push(ms(claimed, result.received));
                match before {
                    None => self.waits.push(ms(attempt.created, claimed)),
                    Some(before) => self.gaps.push(ms(before, claimed)),
                }
                before = Some(result.received);
            }
        }
    }

    /// Claim to accepted result, above the suite's own time.
    pub(crate) fn row(&self, bar: f64) -> Row {
        let (answer, suite) = (median(&self.answers), middle(&self.hands, |task| task.python.whole));
        let above = answer - suite;
        let name =
            if self.asked == self.level { self.level.clone() } else { format!("auto: {}", self.level) };
        let measured = format!(
            "{above:.1} ms: {answer:.1} (of {} tasks; a tenth above {:.1}) - {suite:.1} for the suite by hand",
            self.answers.len(),
            quantile(&self.answers, 0.9)
        );
        Row::told(
            format!("claim to result accepted, one worker, warm, above the suite's own; sandbox {name}"),
            measured,
        )
        .bar(format!("<= {bar} ms"), above <= bar)
        .value("above_ms", above)
        .value("answer_ms", answer)
        .value("suite_ms", suite)
    }

    /// What this level costs a task above `bare`, which was measured in turn with it.
    pub(crate) fn cost_row(&self, bare: &Self, bar: f64) -> Row {
        let figure = "what the sandbox costs a task: the same tasks in turn without and with it";
        if self.level == bare.level {
            return Row::skipped(figure, format!("no sandbox works here: {}", self.level));
        }
        let (without, with) = (median(&bare.answers), median(&self.answers));
        let cost = with - without;
        let measured =
            format!("{cost:.1} ms: {with:.1} with {} - {without:.1} with {}", self.level, bare.level);
        Row::told(figure, measured).bar(format!("<= {bar} ms"), cost <= bar).value("cost_ms", cost)
    }

    /// How soon a task is taken.
    pub(crate) fn gap_row(&self) -> Row {
        let (gap, longest) = (median(&self.gaps), quantile(&self.gaps, 0.9));
        let wait = quantile(&self.waits, 1.0);
        let interval = INTERVAL.as_secs_f64() * 1e3;
        let measured = format!(
            "{gap:.1} ms after the last result (a tenth above {longest:.1}; below 0: before it); idle, at an \
             interval of {interval} ms, {wait:.0} at the most of {}",
            self.waits.len()
        );
        Row::told("a task that follows another: to its claim; one that meets an idle runner", measured)
            .bar("<= 20 ms; <= the interval", gap <= 20.0 && wait <= interval + 20.0)
            .value("gap_ms", gap)
            .value("longest_wait_ms", wait)
    }

    /// The same work without a runner.
    pub(crate) fn hand_rows(&self, world: &World) -> Vec<Row> {
        let of = |part: fn(&hand::Task) -> f64| middle(&self.hands, part);
        let whole = of(hand::Task::whole);
        let above = of(|task| task.whole() - task.python.whole);
        let measured = format!(
            "{whole:.1} ms, {above:.1} of them above the suite's: curl {:.1}, git clone {:.1}, python {:.1}, curl {:.1}",
            of(|task| task.claim),
            of(|task| task.clone),
            of(|task| task.python.whole),
            of(|task| task.post)
        );
        let fsync = gauge::fsync(&world.at("")).unwrap_or(0.0);
        vec![
            Row::told("the same by hand: git clone, python, two curls", measured)
                .value("whole_ms", whole)
                .value("above_ms", above),
            Row::told("one fsync of 4 KiB in a new file, by hand", format!("{fsync:.2} ms"))
                .value("ms", fsync),
        ]
    }
}
