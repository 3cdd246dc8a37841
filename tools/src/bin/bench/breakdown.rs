//! Breaks the time of a task down into parts, by the timestamps of the runner's debug log, of the suite and of the backend.

use std::time::Instant;

use mock_backend::Attempt;
use serde::Serialize;
use tools::log::LogLine;

use crate::by_hand::{TaskTimes, suite_times};
use crate::markdown;
use crate::stats::{median, median_by, quantile};

const SECONDS_PER_DAY: f64 = 86_400.0;

/// The parts in order, each with the source of its end time.
const PARTS: [(&str, &str); 7] = [
    ("receive the claim, write it to disk", "backend: claimed; log: `task_started`"),
    ("create the task's folder, check out", "log: `checked_out`"),
    ("prepare the suite, start supervisor and sandbox", "suite: first line, minus Python's startup by hand"),
    ("Python, from start to exit", "by hand, between the rounds"),
    (
        "end the supervisor, read the report, remove the folder",
        "suite: last line, plus Python's exit by hand; log: `task_ended`",
    ),
    ("write the result to disk", "log: `result_delivered`, minus its `elapsed`"),
    ("post the result", "backend: received"),
];

/// The breakdown at one sandbox level.
#[derive(Debug, Serialize)]
pub(crate) struct Breakdown {
    sandbox: String,
    tasks: usize,
    /// Name, median and 90 % quantile of each part in milliseconds.
    parts: Vec<(&'static str, f64, f64)>,
    sum_ms: f64,
    whole_ms: f64,
}

impl Breakdown {
    /// Evaluates the log of a runner that ran `attempts` one after the other. `clock` is the same moment as an `Instant` and
    /// in seconds since the Unix epoch.
    pub(crate) fn from_log(
        level: &str,
        attempts: &[Attempt],
        log: &str,
        by_hand: &[TaskTimes],
        clock: (Instant, f64),
    ) -> Self {
        let python =
            [median_by(by_hand, |task| task.python.startup), median_by(by_hand, |task| task.python.exit)];
        let lines = LogLine::parse_all(log);
        let tasks: Vec<[f64; 8]> =
            attempts.iter().filter_map(|attempt| timestamps(attempt, &lines, python, clock)).collect();
        let durations = |part: usize| -> Vec<f64> {
            tasks.iter().map(|task| (task[part + 1] - task[part]) * 1e3).collect()
        };
        let parts: Vec<_> = PARTS
            .iter()
            .enumerate()
            .map(|(part, (name, _))| (*name, median(&durations(part)), quantile(&durations(part), 0.9)))
            .collect();
        Self {
            sandbox: level.to_owned(),
            tasks: tasks.len(),
            sum_ms: parts.iter().map(|(_, median, _)| median).sum(),
            whole_ms: median_by(&tasks, |task| (task[7] - task[0]) * 1e3),
            parts,
        }
    }

    /// The breakdown as text.
    pub(crate) fn text(&self) -> String {
        if self.tasks == 0 {
            return "parts of a task: SKIPPED: the runner's log lacks the timestamps\n".to_owned();
        }
        let ms = |value: f64| format!("{value:.1}");
        let mut rows: Vec<[String; 4]> = self
            .parts
            .iter()
            .zip(PARTS)
            .map(|((name, median, upper), (_, source))| {
                [(*name).to_owned(), ms(*median), ms(*upper), source.to_owned()]
            })
            .collect();
        rows.push(["sum".to_owned(), ms(self.sum_ms), String::new(), format!("whole: {:.1}", self.whole_ms)]);
        format!(
            "parts of a task in ms, sandbox {} ({} tasks)\n{}",
            self.sandbox,
            self.tasks,
            markdown::table(["part", "median", "90 % below", "end time from"], &rows)
        )
    }
}

/// The start and end times of the parts in seconds of the day; `None` if one of them is missing.
fn timestamps(
    attempt: &Attempt,
    lines: &[LogLine],
    python: [f64; 2],
    clock: (Instant, f64),
) -> Option<[f64; 8]> {
    let second_of_day = |at: Instant| {
        let ago = clock.0.saturating_duration_since(at).as_secs_f64();
        (clock.1 - ago).rem_euclid(SECONDS_PER_DAY)
    };
    let id = attempt.id.as_ref()?.to_string();
    let line = |event: &str| {
        let of_task = |line: &&LogLine| line.task_id.as_ref() == Some(&id);
        lines.iter().filter(of_task).find(|line| line.is(event))
    };
    let time = |event: &str| line(event)?.second_of_day();
    let (started, checked_out, ended) = (time("task_started")?, time("checked_out")?, time("task_ended")?);
    let delivered = line("result_delivered")?;
    let result = attempt.result.as_ref()?;
    let (first, last) = suite_times(&result.result.test_results.first()?.name)?;
    let [startup, exit] = python.map(|ms| ms / 1e3);
    let python_start = first.rem_euclid(SECONDS_PER_DAY) - startup;
    let python_end = last.rem_euclid(SECONDS_PER_DAY) + exit;
    let posted = delivered.second_of_day()? - delivered.elapsed?;
    let (claimed, received) = (second_of_day(attempt.claimed?), second_of_day(result.received));
    Some([claimed, started, checked_out, python_start, python_end, ended, posted, received])
}
