//! The result of a run, from the plugin's events, the report file and the end of the command. Where they differ, the
//! events count, and nothing that is missing or unexpected makes a test pass.

use crate::task::Task;
use report::junit::JunitError;
use report::{Cause, Fault, Limits, Outcome, Progress, Report};
use sandbox::command::{Exit, LimitHit, Stopped};
use sandbox::confine;

use super::events::{Events, Line};

/// Everything that is known about a run that has ended.
pub(super) struct Evidence<'a> {
    /// The task, which can name the tests to run.
    pub(super) task: &'a Task,
    /// The end of the command, with the plugin's events.
    pub(super) exit: &'a Exit,
    /// The content of its report file.
    pub(super) file: Result<Report, JunitError>,
    /// Whether the suite ran all its tests, so that the chosen ones are selected here.
    pub(super) selects_from_report: bool,
    /// Limits of the sandbox on the command.
    pub(super) allowed: &'a confine::Limits,
    /// Limits on a report.
    pub(super) limits: &'a Limits,
}

/// The warning about a run in which no plugin sent events.
pub(super) const NO_EVENTS: &str = "the plugin sent no events (no pytest, or another interpreter): the result comes from \
                         the report file alone, which the program under test can write to, and memoryUsed is 0, because \
                         nothing was measured";

impl Evidence<'_> {
    /// Returns the report of the run, and warnings about it.
    pub(super) fn judge(self) -> (Report, Vec<String>) {
        let exit = self.exit;
        let (mut report, warnings) = self.judge_events();
        if exit.stopped.is_none()
            && let Some(why) = suite_change(exit)
        {
            // All other evidence comes from a suite that the program has changed.
            report.fault = Some(Fault::new(Progress::Execute, Cause::Program, why));
        }
        (report, warnings)
    }

    /// The report without a look at changes of the suite.
    fn judge_events(self) -> (Report, Vec<String>) {
        let lines = self.exit.events.iter();
        let lines =
            lines.map(|event| Line { text: &event.line, memory: event.memory, note: event.note.as_deref() });
        let Some(events) = Events::read(lines, self.limits) else {
            return (self.report_without_events(), vec![NO_EVENTS.to_owned()]);
        };
        let Self { task, exit, file, selects_from_report, allowed, limits } = self;
        let (mut report, warnings) = events.judge(file, &unfinished_reason(exit, allowed), limits);
        tracing::debug!(name: "plugin_events", pytest_exit = events.exit(), events = exit.events.len(), "the plugin's events");
        report.finished = Some((events.finished() as u64, events.total() as u64));
        if selects_from_report {
            report.select(&task.tests);
        }
        if !events.complete() && exit.stopped.is_none() {
            let (ended, all) = (events.finished(), events.total());
            let (cause, why) = early_end(exit, allowed);
            let message = format!("{why}, {ended} of {all} tests had finished{}", last_words(exit, allowed));
            report.fault = Some(Fault::new(Progress::Execute, cause, message));
        }
        // It is not known which case hit one of these limits. A run that a limit ended has it in its fault already.
        let unattributed = exit
            .limit_hits
            .iter()
            .filter(|hit| matches!(hit, LimitHit::Disk | LimitHit::Files | LimitHit::Output));
        for hit in unattributed.filter(|_| events.complete()) {
            add_to_failed_cases(&mut report, &format!("the task {}", hit.words(allowed)));
        }
        contradictions(&mut report, task, exit, allowed, selects_from_report);
        (report, warnings)
    }

    /// The report of a run without events, from the report file and the end of the command.
    fn report_without_events(self) -> Report {
        let Self { task, exit, file, selects_from_report, allowed, .. } = self;
        let of_fault = |cause, message| {
            Report::of_fault(Fault::new(Progress::Report, cause, message), std::time::Duration::ZERO)
        };
        match file {
            Ok(mut report) => {
                if selects_from_report {
                    report.select(&task.tests);
                }
                if report.fault.is_none() && exit.stopped.is_none() && exit.signal.is_some() {
                    let (cause, why) = early_end(exit, allowed);
                    let message = format!("{why}{}", last_words(exit, allowed));
                    report.fault = Some(Fault::new(Progress::Execute, cause, message));
                }
                if let Some(why) = limits_hit(exit, allowed) {
                    add_to_failed_cases(&mut report, &why);
                }
                contradictions(&mut report, task, exit, allowed, selects_from_report);
                report
            }
            Err(JunitError::Missing) => {
                let why =
                    exit.report_error.clone().map(|why| format!("the suite's report cannot be read: {why}"));
                let over = limits_hit(exit, allowed).map(|why| format!("{why}; the suite wrote no report"));
                let none = || {
                    format!("the suite wrote no report ({}){}", exit.describe(), last_words(exit, allowed))
                };
                let cause = if over.is_some() { Cause::Limit } else { Cause::Suite };
                of_fault(cause, over.or(why).unwrap_or_else(none))
            }
            Err(error) => {
                let over = limits_hit(exit, allowed).map(|why| format!("{why}; "));
                let cause = if over.is_some() { Cause::Limit } else { Cause::Suite };
                let over = over.unwrap_or_default();
                of_fault(cause, format!("{over}the suite's report cannot be read: {error}"))
            }
        }
    }
}

/// Sets the fault of a report that must not count as success although every listed case passed.
fn contradictions(
    report: &mut Report,
    task: &Task,
    exit: &Exit,
    allowed: &confine::Limits,
    selects_from_report: bool,
) {
    if report.fault.is_some() || exit.stopped.is_some() {
        return;
    }
    let tally = &report.tally;
    let fault = if tally.total() == 0 && !task.tests.is_empty() {
        Some((Cause::Task, format!("no test matched {}", task.tests.join(", "))))
    } else if tally.total() == 0 && !task.laboratories.is_empty() {
        Some((Cause::Task, format!("no test matched laboratory {}", list(&task.laboratories))))
    } else if !exit.success() && !selects_from_report && tally.passed == tally.total() {
        Some(unexplained_exit(exit, allowed))
    } else {
        None
    };
    report.fault = fault.map(|(cause, message)| Fault::new(Progress::Execute, cause, message));
}

/// Cause and message for a command that ended with an error although its report names no failure.
fn unexplained_exit(exit: &Exit, allowed: &confine::Limits) -> (Cause, String) {
    let end = exit.describe();
    if let Some(why) = limits_hit(exit, allowed) {
        return (Cause::Limit, format!("{why}; the suite ended with {end}"));
    }
    let words = last_words(exit, allowed);
    (Cause::Suite, format!("the suite ended with {end} although its report names no failure{words}"))
}

/// Adds a limit that was hit to the description of every failed case, since it is not known which case hit it.
fn add_to_failed_cases(report: &mut Report, why: &str) {
    for case in &mut report.cases {
        if matches!(case.outcome, Outcome::Failed | Outcome::Errored) {
            case.description = format!("while the tests ran: {why}\n{}", case.description);
        }
    }
}

/// Cause and message for a command that ended too early.
fn early_end(exit: &Exit, allowed: &confine::Limits) -> (Cause, String) {
    let killed = exit.limit_hits.iter().any(|hit| hit.kills());
    let end = match exit.signal {
        Some(_) => format!("the suite was killed by {}", exit.describe()),
        None => format!("the suite ended with {} before its end", exit.describe()),
    };
    match limits_hit(exit, allowed) {
        Some(why) if killed => (Cause::Limit, why),
        Some(why) => (Cause::Limit, format!("{why}; {end}")),
        None if exit.signal.is_some() => (Cause::Program, end),
        None => (Cause::Suite, end),
    }
}

/// Why the test that was running when the suite ended did not finish.
fn unfinished_reason(exit: &Exit, allowed: &confine::Limits) -> String {
    let over = limits_hit(exit, allowed);
    let also = over.as_ref().map(|why| format!("; {why}")).unwrap_or_default();
    match exit.stopped {
        Some(Stopped::Deadline) => format!("it was still running when the time was over{also}"),
        Some(Stopped::Interrupt) => "it was still running when the runner was stopped".to_owned(),
        None => {
            suite_change(exit).or(over).unwrap_or_else(|| format!("the suite ended with {}", exit.describe()))
        }
    }
}

/// The message for a run in which the program changed the suite.
fn suite_change(exit: &Exit) -> Option<String> {
    let path = exit.tampered_file.as_deref()?;
    let what = if path.is_empty() { "the folder" } else { path };
    Some(format!("killed: the program changed {what} of the test suite, which it must not"))
}

/// The limits that were hit, in words. Limits for which a process was killed come first.
fn limits_hit(exit: &Exit, allowed: &confine::Limits) -> Option<String> {
    let words = |kills: bool| {
        let hits = exit.limit_hits.iter().filter(|hit| hit.kills() == kills);
        hits.map(|hit| hit.words(allowed)).collect::<Vec<_>>().join(", ")
    };
    let (killed, refused) = (words(true), words(false));
    let killed = if killed.is_empty() { killed } else { format!("killed: {killed}") };
    let all: Vec<String> = [killed, refused].into_iter().filter(|words| !words.is_empty()).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// The last line of the suite's output, if no limit explains the end better.
fn last_words(exit: &Exit, allowed: &confine::Limits) -> String {
    exit.last_words()
        .filter(|_| limits_hit(exit, allowed).is_none())
        .map(|line| format!(": {line}"))
        .unwrap_or_default()
}

/// The numbers, separated by commas.
fn list(numbers: &[u32]) -> String {
    numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}
