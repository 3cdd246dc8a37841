//! What a run came to: what was told while it ran, what its report file says, and how it ended. Where they differ, what
//! was told wins, and nothing that is missing or odd makes a pass.

use crate::junit::JunitError;
use crate::process::{Exit, Stopped};
use crate::report::{Cause, Fault, Limits, Report, Stage};
use crate::sandbox;
use crate::task::Task;

use super::events::{Events, Line};

/// Everything that is known of a run that has ended.
pub(super) struct Evidence<'a> {
    /// What was asked for.
    pub(super) task: &'a Task,
    /// How it ended, and what it said.
    pub(super) exit: &'a Exit,
    /// Its report file.
    pub(super) file: Result<Report, JunitError>,
    /// Whether all tests were run and the chosen ones are to be picked here.
    pub(super) selects_here: bool,
    /// What it was allowed to use.
    pub(super) allowed: &'a sandbox::Limits,
    /// Bounds on a result.
    pub(super) limits: &'a Limits,
}

impl Evidence<'_> {
    /// The report of the run, and what to warn of.
    pub(super) fn judge(self) -> (Report, Vec<String>) {
        let lines = self.exit.told.iter();
        let lines =
            lines.map(|told| Line { text: &told.line, memory: told.memory, note: told.note.as_deref() });
        let Some(events) = Events::read(lines, self.limits) else { return (self.by_file(), Vec::new()) };
        let Self { task, exit, file, selects_here, allowed, limits } = self;
        let (mut report, warnings) = events.judge(file, &ending(exit, allowed), limits);
        tracing::debug!(pytest_exit = events.exit(), told = exit.told.len(), "told by the plugin");
        report.progress = Some((events.finished() as u64, events.total() as u64));
        if selects_here {
            report.select(&task.tests);
        }
        if !events.complete() && exit.stopped.is_none() {
            let (ended, all) = (events.finished(), events.total());
            let (cause, why) = how(exit, allowed);
            let message = format!("{why}, {ended} of {all} tests had finished{}", words(exit));
            report.fault = Some(Fault::new(Stage::Execute, cause, message));
        }
        contradictions(&mut report, task, exit, selects_here);
        (report, warnings)
    }

    /// A suite that tells nothing while it runs: its file and its exit are all there is.
    fn by_file(self) -> Report {
        let Self { task, exit, file, selects_here, allowed, .. } = self;
        let of_fault = |cause, message| {
            Report::of_fault(Fault::new(Stage::Report, cause, message), std::time::Duration::ZERO)
        };
        match file {
            Ok(mut report) => {
                if selects_here {
                    report.select(&task.tests);
                }
                if report.fault.is_none() && exit.stopped.is_none() && exit.signal.is_some() {
                    let (cause, why) = how(exit, allowed);
                    let message = format!("{why}{}", words(exit));
                    report.fault = Some(Fault::new(Stage::Execute, cause, message));
                }
                contradictions(&mut report, task, exit, selects_here);
                report
            }
            Err(JunitError::Missing) => {
                let why = exit.report.clone().map(|why| format!("the suite's report cannot be read: {why}"));
                let over = over(exit, allowed).map(|why| format!("killed: {why}; the suite wrote no report"));
                let none = || format!("the suite wrote no report ({}){}", exit.describe(), words(exit));
                let cause = if over.is_some() { Cause::Limit } else { Cause::Suite };
                of_fault(cause, over.or(why).unwrap_or_else(none))
            }
            Err(error) => of_fault(Cause::Suite, format!("the suite's report cannot be read: {error}")),
        }
    }
}

/// What is not a pass although every listed case passed.
fn contradictions(report: &mut Report, task: &Task, exit: &Exit, selects_here: bool) {
    if report.fault.is_some() || exit.stopped.is_some() {
        return;
    }
    let tally = &report.tally;
    let fault = if tally.total() == 0 && !task.tests.is_empty() {
        Some((Cause::Task, format!("no test matched {}", task.tests.join(", "))))
    } else if tally.total() == 0 && !task.laboratories.is_empty() {
        Some((Cause::Task, format!("no test matched laboratory {}", list(&task.laboratories))))
    } else if !exit.success() && !selects_here && tally.passed == tally.total() {
        let how = exit.describe();
        let says = format!("the suite ended with {how} although its report names no failure{}", words(exit));
        Some((Cause::Suite, says))
    } else {
        None
    };
    report.fault = fault.map(|(cause, message)| Fault::new(Stage::Execute, cause, message));
}

/// How a run ended that should have gone on, and who is to blame.
fn how(exit: &Exit, allowed: &sandbox::Limits) -> (Cause, String) {
    match over(exit, allowed) {
        Some(why) => (Cause::Limit, format!("killed: {why}")),
        None if exit.signal.is_some() => {
            (Cause::Student, format!("the suite was killed by {}", exit.describe()))
        }
        None => (Cause::Suite, format!("the suite ended with {} before its end", exit.describe())),
    }
}

/// For the test that ran when the suite ended.
fn ending(exit: &Exit, allowed: &sandbox::Limits) -> String {
    match (exit.stopped, over(exit, allowed)) {
        (Some(Stopped::Deadline), _) => "it was still running when the time was over".to_owned(),
        (Some(Stopped::Interrupt), _) => "it was still running when the runner was stopped".to_owned(),
        (None, Some(why)) => format!("killed: {why}"),
        (None, None) => format!("the suite ended with {}", exit.describe()),
    }
}

/// The limits that were hit, in words.
fn over(exit: &Exit, allowed: &sandbox::Limits) -> Option<String> {
    let words: Vec<String> = exit.hits.iter().map(|hit| hit.words(allowed)).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

fn words(exit: &Exit) -> String {
    exit.last_words().map(|line| format!(": {line}")).unwrap_or_default()
}

fn list(numbers: &[u32]) -> String {
    numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}
