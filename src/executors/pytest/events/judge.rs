//! Makes the report of a run. The cases and their outcomes come from the events; the suite's report file adds details where
//! it agrees with them.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::case::{CaseRecord, State};
use super::limits::{MAX_EXAMPLES, length};
use super::record::Events;
use report::junit::JunitError;
use report::{Case, Limits, Outcome, Report, Tally, UNNAMED};
use text::{head_and_tail, one_line, shorten, thousands};

/// The cases of the report file that are not matched with events yet, by name and in their order.
type ByName = HashMap<String, VecDeque<Case>>;

impl Events {
    /// Returns the report and warnings about it. Where the events and `junit` differ, the events count. A case that only
    /// `junit` has is left out if it passed; otherwise it is included, since a forged failure gains nothing. `ending` is a
    /// text for people on how the run ended; it describes the case that was running then.
    pub(in crate::executors::pytest) fn judge(
        &self,
        junit: Result<Report, JunitError>,
        ending: &str,
        limits: &Limits,
    ) -> (Report, Vec<String>) {
        let mut warnings = self.warn_of_unexpected_lines();
        warnings.extend(self.doubts.iter().cloned());
        let mut compared = Compared { incomplete: junit.is_err(), ..Compared::default() };
        let mut report = Report::default();
        match junit {
            Ok(junit) => {
                compared.take_suite_wide(&junit, &mut warnings);
                report.duration = junit.duration;
                for case in junit.cases {
                    compared.left.entry(case.name.clone()).or_default().push_back(case);
                }
            }
            Err(error) => {
                warnings.push(format!("the suite's report adds no details: {error}"));
                report.duration =
                    self.cases.iter().fold(Duration::ZERO, |sum, case| sum.saturating_add(case.duration));
            }
        }
        let mut remaining: HashMap<&str, usize> = HashMap::new();
        for record in &self.cases {
            *remaining.entry(&record.name).or_default() += 1;
        }
        for record in &self.cases {
            let siblings = remaining.entry(&record.name).or_default();
            *siblings = siblings.saturating_sub(1);
            report.cases.push(compared.case(record, *siblings, ending));
        }
        report.cases.extend(compared.take_unknown());
        warnings.extend(compared.warnings());
        report.tally = Tally { unlisted: self.unlisted(), ..Tally::default() };
        for case in &mut report.cases {
            report.tally.count(case.outcome);
            case.description = head_and_tail(&case.description, length(limits.max_description)).into_owned();
        }
        cut(&mut report, limits);
        (report, warnings)
    }

    fn warn_of_unexpected_lines(&self) -> Vec<String> {
        let more = self.unexpected_count.saturating_sub(self.unexpected.len() as u64);
        if self.unexpected.is_empty() {
            return Vec::new();
        }
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        vec![
            shorten(&one_line(&format!("unexpected events: {}{more}", self.unexpected.join("; "))), 1_000)
                .into_owned(),
        ]
    }
}

/// The comparison of the events with the report file.
#[derive(Debug, Default)]
struct Compared {
    left: ByName,
    /// Whether there is no report file, or it leaves cases out, so that cases may be missing in it.
    incomplete: bool,
    different: Examples,
    missing: Examples,
    unknown: Examples,
}

impl Compared {
    /// Takes the fault of the report file as a warning.
    fn take_suite_wide(&mut self, junit: &Report, warnings: &mut Vec<String>) {
        self.incomplete = junit.cut.is_some() || junit.fault.is_some();
        let faults = junit.fault.iter().map(|fault| fault.message.as_str()).chain(junit.cut.as_deref());
        warnings.extend(faults.map(|fault| format!("the suite's report is incomplete: {fault}")));
    }

    /// The case of `record`. `siblings` is the number of later cases of the same name.
    fn case(&mut self, record: &CaseRecord, siblings: usize, ending: &str) -> Case {
        let (outcome, description) = match record.state {
            State::Ended(outcome) => (outcome, record.description.clone()),
            State::Running => (Outcome::Errored, format!("did not finish: {ending}")),
            State::Collected => (Outcome::Failed, "did not run: the suite ended before it".to_owned()),
        };
        let mut case = Case {
            name: record.name.clone(),
            outcome,
            description,
            duration: record.duration,
            memory: record.memory,
        };
        let ended = matches!(record.state, State::Ended(_));
        match self.take(record, siblings) {
            Some(junit) if ended && junit.outcome == outcome => {
                case.description = junit.description;
                case.duration = junit.duration;
            }
            Some(junit) => {
                self.different.add(|| {
                    let (event, file) = (record.state.text(), State::Ended(junit.outcome).text());
                    format!("{} ({event}; in the file: {file})", record.name)
                });
            }
            None if ended && !self.incomplete => self.missing.add(|| record.name.clone()),
            None => {}
        }
        if let Some(note) = record.note.as_ref().filter(|_| outcome != Outcome::Passed) {
            case.description = format!("{note}\n{}", case.description);
        }
        case
    }

    /// Takes the next case of the same name from the report file. pytest writes two cases for a test that failed and whose
    /// teardown failed too, and an empty one for each repetition of a test.
    fn take(&mut self, record: &CaseRecord, siblings: usize) -> Option<Case> {
        let queue = self.left.get_mut(&record.name)?;
        while queue.len() > siblings + 1 && queue.front().is_some_and(|case| case.outcome == Outcome::Passed)
        {
            queue.pop_front();
        }
        let mut case = queue.pop_front()?;
        let is_double = record.state == State::Ended(Outcome::Errored)
            && case.outcome == Outcome::Failed
            && queue.len() > siblings
            && queue.front().is_some_and(|next| next.outcome == Outcome::Errored);
        if is_double && let Some(second) = queue.pop_front() {
            case.outcome = second.outcome;
            case.description = format!("{}\n{}", case.description, second.description);
            case.duration = case.duration.saturating_add(second.duration);
        }
        Some(case)
    }

    /// Takes the unmatched cases that did not pass.
    fn take_unknown(&mut self) -> Vec<Case> {
        let mut left: Vec<Case> = std::mem::take(&mut self.left).into_values().flatten().collect();
        left.sort_by(|a, b| a.name.cmp(&b.name));
        // pytest lists the test during which it was interrupted without a name; the events have that test.
        left.retain(|case| case.name != UNNAMED || case.outcome != Outcome::Passed);
        for case in &left {
            self.unknown.add(|| format!("{} ({})", case.name, State::Ended(case.outcome).text()));
        }
        left.retain(|case| matches!(case.outcome, Outcome::Failed | Outcome::Errored));
        left
    }

    fn warnings(&self) -> Vec<String> {
        [
            (&self.different, "ended differently in the suite's report"),
            (&self.missing, "ended and are missing in the suite's report"),
            (&self.unknown, "are in the suite's report only; those that passed are left out"),
        ]
        .into_iter()
        .filter_map(|(examples, what)| examples.warning(what))
        .collect()
    }
}

/// The number of cases with a property, and the first of them.
#[derive(Debug, Default)]
struct Examples {
    count: usize,
    first: Vec<String>,
}

impl Examples {
    fn add(&mut self, describe: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < MAX_EXAMPLES {
            self.first.push(shorten(&describe(), 200).into_owned());
        }
    }

    fn warning(&self, what: &str) -> Option<String> {
        let more = if self.count > self.first.len() { ", …" } else { "" };
        (self.count > 0).then(|| {
            format!("cases that {what}: {} ({}{more})", thousands(self.count as u64), self.first.join(", "))
        })
    }
}

/// Removes cases over the limit, those that passed first, and records in the report what is missing.
fn cut(report: &mut Report, limits: &Limits) {
    let all = report.cases.len();
    let others = report.cases.iter().filter(|case| case.outcome != Outcome::Passed).count();
    let mut room_for_others = others.min(limits.max_cases);
    let mut room_for_passed = limits.max_cases.saturating_sub(others);
    report.cases.retain(|case| {
        let room = if case.outcome == Outcome::Passed { &mut room_for_passed } else { &mut room_for_others };
        let stays = *room > 0;
        *room = room.saturating_sub(1);
        stays
    });
    let left_out = all - report.cases.len();
    let mut missing = Vec::new();
    if left_out > 0 {
        let (out, all) = (thousands(left_out as u64), thousands(all as u64));
        missing.push(format!("{out} of {all} cases left out, those that passed first"));
    }
    if report.tally.unlisted > 0 {
        missing.push(format!("{} more cases of which nothing is known", thousands(report.tally.unlisted)));
    }
    report.cut = (!missing.is_empty()).then(|| missing.join("; "));
}
