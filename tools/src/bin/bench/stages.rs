//! Where a task's milliseconds go: the runner's debug log says when each stage ended, the suite when it ran, and the
//! backend when it answered and was answered.

use std::time::Instant;

use mock_backend::Attempt;
use serde::Serialize;

use crate::hand::{self, middle, own_times};
use crate::rows::grid;
use crate::stats::{median, quantile};

/// The stages in their order, and how each is told.
const NAMES: [(&str, &str); 7] = [
    ("the answer arrives, the claim is on disk", "backend: claimed; log: `task started`"),
    ("a folder for the task; the checkout's child", "log: `checked out`"),
    (
        "the suite is looked at and copied or mounted; supervisor, sandbox",
        "suite: first line, less Python's start by hand",
    ),
    ("Python, from its start to its end", "by hand, between the rounds"),
    (
        "the supervisor ends; the report is read; the folder is removed",
        "suite: last line, plus Python's end by hand; log: `task ended`",
    ),
    ("the result is on disk", "log: `delivered`, less its `elapsed`"),
    ("the result is posted", "backend: received"),
];

/// The table for one level of confinement.
#[derive(Debug, Serialize)]
pub(crate) struct Stages {
    sandbox: String,
    tasks: usize,
    /// Name, median and last decile in milliseconds.
    parts: Vec<(&'static str, f64, f64)>,
    sum_ms: f64,
    whole_ms: f64,
}

impl Stages {
    /// From the log of a runner that ran `attempts` one after the other. `clock` is one moment as both clocks say it.
    pub(crate) fn of(
        level: &str,
        attempts: &[Attempt],
        log: &str,
        hands: &[hand::Task],
        clock: (Instant, f64),
    ) -> Self {
        let python = [
            middle(hands, |task| task.python.before),
            middle(hands, |task| task.python.whole),
            middle(hands, |task| task.python.after),
        ];
        let tasks: Vec<[f64; 8]> =
            attempts.iter().filter_map(|attempt| moments(attempt, log, python, clock)).collect();
        let stage = |number: usize| -> Vec<f64> {
            tasks.iter().map(|task| (task[number + 1] - task[number]) * 1e3).collect()
        };
        let parts: Vec<_> = NAMES
            .iter()
            .enumerate()
            .map(|(number, (name, _))| (*name, median(&stage(number)), quantile(&stage(number), 0.9)))
            .collect();
        Self {
            sandbox: level.to_owned(),
            tasks: tasks.len(),
            sum_ms: parts.iter().map(|(_, median, _)| median).sum(),
            whole_ms: middle(&tasks, |task| (task[7] - task[0]) * 1e3),
            parts,
        }
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        if self.tasks == 0 {
            return "where a task's milliseconds go: SKIPPED: the runner's log does not tell\n".to_owned();
        }
        let ms = |value: f64| format!("{value:.1}");
        let mut rows: Vec<[String; 4]> = self
            .parts
            .iter()
            .zip(NAMES)
            .map(|((name, median, decile), (_, how))| {
                [(*name).to_owned(), ms(*median), ms(*decile), how.to_owned()]
            })
            .collect();
        rows.push(["sum".to_owned(), ms(self.sum_ms), String::new(), format!("whole: {:.1}", self.whole_ms)]);
        format!(
            "where a task's milliseconds go, sandbox {} ({} tasks)\n{}",
            self.sandbox,
            self.tasks,
            grid(["stage", "median", "a tenth above", "told by"], &rows)
        )
    }
}

/// The moments between the stages, in seconds of the day; nothing where one of them is not told.
fn moments(attempt: &Attempt, log: &str, python: [f64; 3], clock: (Instant, f64)) -> Option<[f64; 8]> {
    let of_day = |at: Instant| {
        let back = clock.0.saturating_duration_since(at).as_secs_f64();
        (clock.1 - back).rem_euclid(86_400.0)
    };
    let id = format!("\"{}\"", attempt.id.as_ref()?);
    let line = |said: &str| log.lines().find(|line| line.contains(&id) && line.contains(said));
    let (started, checked_out) = (time(line(": task started")?)?, time(line(": checked out")?)?);
    let (ended, delivered) =
        (time(line(": task ended")?)?, line(": delivered").or_else(|| line(" delivered "))?);
    let result = attempt.result.as_ref()?;
    let (first, last) = own_times(&result.result.test_results.first()?.name)?;
    let [before, _, after] = python.map(|ms| ms / 1e3);
    let (first, last) = (first.rem_euclid(86_400.0) - before, last.rem_euclid(86_400.0) + after);
    let posted = time(delivered)? - elapsed(delivered)?;
    let claimed = of_day(attempt.claimed?);
    Some([claimed, started, checked_out, first, last, ended, posted, of_day(result.received)])
}

/// The second of the day at which a line was logged: `2025-01-31T12:34:56.123456Z …`.
fn time(line: &str) -> Option<f64> {
    let text = line.split_once('T')?.1.split_once('Z')?.0;
    let mut parts = text.splitn(3, ':').map(|part| part.parse::<f64>().ok());
    Some(parts.next()?? * 3600.0 + parts.next()?? * 60.0 + parts.next()??)
}

/// The field `elapsed` of a line, in seconds: `1.234ms`, as durations are shown.
fn elapsed(line: &str) -> Option<f64> {
    let text = line.split_once("elapsed=")?.1.split_ascii_whitespace().next()?;
    let units = [("ns", 1e-9), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0)];
    units.iter().find_map(|(unit, factor)| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * factor))
}
