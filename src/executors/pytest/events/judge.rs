//! The report of a run: the events say which cases there are and what each came to; the suite's own report file adds
//! details where it agrees.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::{Events, State, Told, size};
use report::junit::JunitError;
use report::{Case, Limits, Outcome, Report, Tally, UNNAMED};
use text::{head_and_tail, one_line, shorten, thousands};

/// Examples in one warning, and odd lines that are told.
pub(super) const EXAMPLES: usize = 5;

/// The cases of the report file that have not been matched yet, by name and in their order.
type ByName = HashMap<String, VecDeque<Case>>;

impl Events {
    /// The report, and what to warn of. The events win over `junit`; what it has and they do not know is left out if
    /// it passed, and kept if it did not, for that can only be to the student's disadvantage. `ending` says in words
    /// for people how the run ended, for the case that was running then.
    pub(in crate::executors) fn judge(
        &self,
        junit: Result<Report, JunitError>,
        ending: &str,
        limits: &Limits,
    ) -> (Report, Vec<String>) {
        let mut warnings = self.warn_of_odd_lines();
        warnings.extend(self.doubts.iter().cloned());
        let mut compared = Compared { without_details: junit.is_err(), ..Compared::default() };
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
        for told in &self.cases {
            *remaining.entry(&told.name).or_default() += 1;
        }
        for told in &self.cases {
            let siblings = remaining.entry(&told.name).or_default();
            *siblings = siblings.saturating_sub(1);
            report.cases.push(compared.case(told, *siblings, ending));
        }
        report.cases.extend(compared.take_unknown());
        warnings.extend(compared.warnings());
        report.tally = Tally { unlisted: self.unlisted(), ..Tally::default() };
        for case in &mut report.cases {
            report.tally.count(case.outcome);
            case.description = head_and_tail(&case.description, size(limits.max_description)).into_owned();
        }
        cut(&mut report, limits);
        (report, warnings)
    }

    fn warn_of_odd_lines(&self) -> Vec<String> {
        let more = self.odd_lines.saturating_sub(self.odd.len() as u64);
        if self.odd.is_empty() {
            return Vec::new();
        }
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        vec![shorten(&one_line(&format!("odd events: {}{more}", self.odd.join("; "))), 1_000).into_owned()]
    }
}

/// The comparison of events and report file.
#[derive(Debug, Default)]
struct Compared {
    left: ByName,
    /// There is no report file, or it leaves cases out: that one is missing in it says nothing.
    without_details: bool,
    different: Examples,
    missing: Examples,
    unknown: Examples,
}

impl Compared {
    /// What a report file says of itself as a whole.
    fn take_suite_wide(&mut self, junit: &Report, warnings: &mut Vec<String>) {
        self.without_details = junit.cut.is_some() || junit.fault.is_some();
        let says = junit.fault.iter().map(|fault| fault.message.as_str()).chain(junit.cut.as_deref());
        warnings.extend(says.map(|what| format!("the suite's report is not whole: {what}")));
    }

    /// The case of `told`, `siblings` more of the same name being still to come.
    fn case(&mut self, told: &Told, siblings: usize, ending: &str) -> Case {
        let (outcome, description) = match told.state {
            State::Ended(outcome) => (outcome, told.description.clone()),
            State::Running => (Outcome::Errored, format!("did not finish: {ending}")),
            State::Collected => (Outcome::Failed, "did not run: the suite ended before it".to_owned()),
        };
        let mut case = Case {
            name: told.name.clone(),
            outcome,
            description,
            duration: told.duration,
            memory: told.memory,
        };
        let ended = matches!(told.state, State::Ended(_));
        match self.take(told, siblings) {
            Some(junit) if ended && junit.outcome == outcome => {
                case.description = junit.description;
                case.duration = junit.duration;
            }
            Some(junit) => {
                self.different.add(|| {
                    let (event, file) = (word(told.state), word(State::Ended(junit.outcome)));
                    format!("{} ({event}; the file says: {file})", told.name)
                });
            }
            None if ended && !self.without_details => self.missing.add(|| told.name.clone()),
            None => {}
        }
        if let Some(note) = told.note.as_ref().filter(|_| outcome != Outcome::Passed) {
            case.description = format!("{note}\n{}", case.description);
        }
        case
    }

    /// The next case of that name. pytest writes two for a test that failed and whose teardown broke too, and one that
    /// says nothing for each time that a test was run again.
    fn take(&mut self, told: &Told, siblings: usize) -> Option<Case> {
        let queue = self.left.get_mut(&told.name)?;
        while queue.len() > siblings + 1 && queue.front().is_some_and(|case| case.outcome == Outcome::Passed)
        {
            queue.pop_front();
        }
        let mut case = queue.pop_front()?;
        let is_double = told.state == State::Ended(Outcome::Errored)
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

    /// Takes what is left and did not pass.
    fn take_unknown(&mut self) -> Vec<Case> {
        let mut left: Vec<Case> = std::mem::take(&mut self.left).into_values().flatten().collect();
        left.sort_by(|a, b| a.name.cmp(&b.name));
        // pytest lists the test in which it was interrupted without a name: that one did begin.
        left.retain(|case| case.name != UNNAMED || case.outcome != Outcome::Passed);
        for case in &left {
            self.unknown.add(|| format!("{} ({})", case.name, word(State::Ended(case.outcome))));
        }
        left.retain(|case| matches!(case.outcome, Outcome::Failed | Outcome::Errored));
        left
    }

    fn warnings(&self) -> Vec<String> {
        [
            (&self.different, "came to something else than the suite's report says"),
            (&self.missing, "ended and are missing in the suite's report"),
            (&self.unknown, "are in the suite's report and nowhere else; those that passed are left out"),
        ]
        .into_iter()
        .filter_map(|(examples, what)| examples.say(what))
        .collect()
    }
}

/// A count, and the first of what was counted.
#[derive(Debug, Default)]
struct Examples {
    count: usize,
    first: Vec<String>,
}

impl Examples {
    fn add(&mut self, say: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < EXAMPLES {
            self.first.push(shorten(&say(), 200).into_owned());
        }
    }

    fn say(&self, what: &str) -> Option<String> {
        let more = if self.count > self.first.len() { ", …" } else { "" };
        (self.count > 0).then(|| {
            format!("cases that {what}: {} ({}{more})", thousands(self.count as u64), self.first.join(", "))
        })
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Collected => "not run",
        State::Running => "not finished",
        State::Ended(Outcome::Passed) => "passed",
        State::Ended(Outcome::Failed) => "failed",
        State::Ended(Outcome::Errored) => "errored",
        State::Ended(Outcome::Skipped) => "skipped",
    }
}

/// Leaves at most as many cases as the limits allow, those that did not pass before those that did; says what is not
/// there.
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
    let mut says = Vec::new();
    if left_out > 0 {
        let (out, all) = (thousands(left_out as u64), thousands(all as u64));
        says.push(format!("{out} of {all} cases left out, those that passed first"));
    }
    if report.tally.unlisted > 0 {
        says.push(format!("{} more cases of which nothing is known", thousands(report.tally.unlisted)));
    }
    report.cut = (!says.is_empty()).then(|| says.join("; "));
}
