//! What a run came to: what was told while it ran, what its report file says, and how it ended. Where they differ, what
//! was told wins, and nothing that is missing or odd makes a pass.

use crate::task::Task;
use report::junit::JunitError;
use report::{Cause, Fault, Limits, Outcome, Progress, Report};
use sandbox::command::{Exit, LimitHit, Stopped};
use sandbox::confine;

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
    pub(super) allowed: &'a confine::Limits,
    /// Bounds on a result.
    pub(super) limits: &'a Limits,
}

/// Of a run in which no plugin spoke.
pub(super) const UNTOLD: &str = "nobody told the runner what the tests came to (another interpreter, no pytest): the \
                      report file alone decides, which the program under test can write to, and memoryUsed is 0, for \
                      nothing was measured";

impl Evidence<'_> {
    /// The report of the run, and what to warn of.
    pub(super) fn judge(self) -> (Report, Vec<String>) {
        let exit = self.exit;
        let (mut report, warnings) = self.judge_words();
        if exit.stopped.is_none()
            && let Some(why) = spoiled(exit)
        {
            // Whatever else there is to say of it came from a suite that was not the suite.
            report.fault = Some(Fault::new(Progress::Execute, Cause::Program, why));
        }
        (report, warnings)
    }

    fn judge_words(self) -> (Report, Vec<String>) {
        let lines = self.exit.events.iter();
        let lines =
            lines.map(|told| Line { text: &told.line, memory: told.memory, note: told.note.as_deref() });
        let Some(events) = Events::read(lines, self.limits) else {
            return (self.by_file(), vec![UNTOLD.to_owned()]);
        };
        let Self { task, exit, file, selects_here, allowed, limits } = self;
        let (mut report, warnings) = events.judge(file, &ending(exit, allowed), limits);
        tracing::debug!(name: "plugin_events", pytest_exit = events.exit(), told = exit.events.len(), "told by the plugin");
        report.finished = Some((events.finished() as u64, events.total() as u64));
        if selects_here {
            report.select(&task.tests);
        }
        if !events.complete() && exit.stopped.is_none() {
            let (ended, all) = (events.finished(), events.total());
            let (cause, why) = how(exit, allowed);
            let message = format!("{why}, {ended} of {all} tests had finished{}", words(exit, allowed));
            report.fault = Some(Fault::new(Progress::Execute, cause, message));
        }
        // Of these nobody tells which case they belong to; a run that was ended for one says so already.
        let missed = exit
            .limit_hits
            .iter()
            .filter(|hit| matches!(hit, LimitHit::Disk | LimitHit::Files | LimitHit::Output));
        for hit in missed.filter(|_| events.complete()) {
            explain(&mut report, &format!("the task {}", hit.words(allowed)));
        }
        contradictions(&mut report, task, exit, allowed, selects_here);
        (report, warnings)
    }

    /// A suite that tells nothing while it runs: its file and its exit are all there is.
    fn by_file(self) -> Report {
        let Self { task, exit, file, selects_here, allowed, .. } = self;
        let of_fault = |cause, message| {
            Report::of_fault(Fault::new(Progress::Report, cause, message), std::time::Duration::ZERO)
        };
        match file {
            Ok(mut report) => {
                if selects_here {
                    report.select(&task.tests);
                }
                if report.fault.is_none() && exit.stopped.is_none() && exit.signal.is_some() {
                    let (cause, why) = how(exit, allowed);
                    let message = format!("{why}{}", words(exit, allowed));
                    report.fault = Some(Fault::new(Progress::Execute, cause, message));
                }
                if let Some(why) = over(exit, allowed) {
                    explain(&mut report, &why);
                }
                contradictions(&mut report, task, exit, allowed, selects_here);
                report
            }
            Err(JunitError::Missing) => {
                let why =
                    exit.report_error.clone().map(|why| format!("the suite's report cannot be read: {why}"));
                let over = over(exit, allowed).map(|why| format!("{why}; the suite wrote no report"));
                let none =
                    || format!("the suite wrote no report ({}){}", exit.describe(), words(exit, allowed));
                let cause = if over.is_some() { Cause::Limit } else { Cause::Suite };
                of_fault(cause, over.or(why).unwrap_or_else(none))
            }
            Err(error) => {
                let over = over(exit, allowed).map(|why| format!("{why}; "));
                let cause = if over.is_some() { Cause::Limit } else { Cause::Suite };
                let over = over.unwrap_or_default();
                of_fault(cause, format!("{over}the suite's report cannot be read: {error}"))
            }
        }
    }
}

/// What is not a pass although every listed case passed.
fn contradictions(
    report: &mut Report,
    task: &Task,
    exit: &Exit,
    allowed: &confine::Limits,
    selects_here: bool,
) {
    if report.fault.is_some() || exit.stopped.is_some() {
        return;
    }
    let tally = &report.tally;
    let fault = if tally.total() == 0 && !task.tests.is_empty() {
        Some((Cause::Task, format!("no test matched {}", task.tests.join(", "))))
    } else if tally.total() == 0 && !task.laboratories.is_empty() {
        Some((Cause::Task, format!("no test matched laboratory {}", list(&task.laboratories))))
    } else if !exit.success() && !selects_here && tally.passed == tally.total() {
        Some(without_failure(exit, allowed))
    } else {
        None
    };
    report.fault = fault.map(|(cause, message)| Fault::new(Progress::Execute, cause, message));
}

/// A run that did not end well although all that it listed passed.
fn without_failure(exit: &Exit, allowed: &confine::Limits) -> (Cause, String) {
    let how = exit.describe();
    if let Some(why) = over(exit, allowed) {
        return (Cause::Limit, format!("{why}; the suite ended with {how}"));
    }
    let words = words(exit, allowed);
    (Cause::Suite, format!("the suite ended with {how} although its report names no failure{words}"))
}

/// Where nobody told which case met a limit: all that failed say it.
fn explain(report: &mut Report, why: &str) {
    for case in &mut report.cases {
        if matches!(case.outcome, Outcome::Failed | Outcome::Errored) {
            case.description = format!("while the tests ran: {why}\n{}", case.description);
        }
    }
}

/// How a run ended that should have gone on, and who is to blame.
fn how(exit: &Exit, allowed: &confine::Limits) -> (Cause, String) {
    let killed = exit.limit_hits.iter().any(|hit| hit.kills());
    let end = match exit.signal {
        Some(_) => format!("the suite was killed by {}", exit.describe()),
        None => format!("the suite ended with {} before its end", exit.describe()),
    };
    match over(exit, allowed) {
        Some(why) if killed => (Cause::Limit, why),
        Some(why) => (Cause::Limit, format!("{why}; {end}")),
        None if exit.signal.is_some() => (Cause::Program, end),
        None => (Cause::Suite, end),
    }
}

/// For the test that ran when the suite ended.
fn ending(exit: &Exit, allowed: &confine::Limits) -> String {
    let over = over(exit, allowed);
    let also = over.as_ref().map(|why| format!("; {why}")).unwrap_or_default();
    match exit.stopped {
        Some(Stopped::Deadline) => format!("it was still running when the time was over{also}"),
        Some(Stopped::Interrupt) => "it was still running when the runner was stopped".to_owned(),
        None => spoiled(exit).or(over).unwrap_or_else(|| format!("the suite ended with {}", exit.describe())),
    }
}

/// What to say of a run that changed the suite.
fn spoiled(exit: &Exit) -> Option<String> {
    let path = exit.tampered_file.as_deref()?;
    let what = if path.is_empty() { "the folder" } else { path };
    Some(format!("killed: the program changed {what} of the test suite, which it must not"))
}

/// The limits that were hit, in words; those for which something was killed first.
fn over(exit: &Exit, allowed: &confine::Limits) -> Option<String> {
    let words = |kills: bool| {
        let hits = exit.limit_hits.iter().filter(|hit| hit.kills() == kills);
        hits.map(|hit| hit.words(allowed)).collect::<Vec<_>>().join(", ")
    };
    let (killed, refused) = (words(true), words(false));
    let killed = if killed.is_empty() { killed } else { format!("killed: {killed}") };
    let all: Vec<String> = [killed, refused].into_iter().filter(|words| !words.is_empty()).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// The suite's last words, where nothing better is known.
fn words(exit: &Exit, allowed: &confine::Limits) -> String {
    exit.last_words()
        .filter(|_| over(exit, allowed).is_none())
        .map(|line| format!(": {line}"))
        .unwrap_or_default()
}

fn list(numbers: &[u32]) -> String {
    numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}
