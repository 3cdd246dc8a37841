//! The cases that are kept of a report: at most so many, those that did not pass before those that did, and never
//! more bytes than the budget, whatever the report holds.

use std::borrow::Cow;
use std::mem::size_of;

use crate::{Case, Limits, Outcome};
use text::{head_and_tail, thousands};

/// Descriptions are not shortened below this to fit the budget; after that, cases go.
const SHORTEST_DESCRIPTION: usize = 256;
/// The least budget, whatever the body's limit.
const SMALLEST_BUDGET: usize = 1 << 20;

/// A case and its place in the report.
type Placed = (u64, Case);

/// See the module.
#[derive(Debug)]
pub(super) struct Kept {
    max_cases: usize,
    budget: usize,
    /// Bytes of one description, now.
    description: usize,
    /// Bytes kept, all told.
    used: usize,
    seen: u64,
    passed: Vec<Placed>,
    others: Vec<Placed>,
}

impl Kept {
    /// The budget is twice the body: what is more than that could not be sent anyway.
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            max_cases: limits.max_cases,
            budget: size(limits.max_body).saturating_mul(2).max(SMALLEST_BUDGET),
            description: size(limits.max_description),
            used: 0,
            seen: 0,
            passed: Vec::new(),
            others: Vec::new(),
        }
    }

    /// Whether the next case would be left out if it passed: then nobody needs to build it.
    pub(super) fn refuses_passed(&self) -> bool {
        self.passed.len() + self.others.len() >= self.max_cases || self.used >= self.budget
    }

    /// Counts a case that passed and is left out.
    pub(super) fn leave_out(&mut self) {
        self.seen += 1;
    }

    /// Keeps `case` if there is room, or room can be made.
    pub(super) fn add(&mut self, mut case: Case) {
        let place = self.seen;
        self.seen += 1;
        if self.passed.len() + self.others.len() >= self.max_cases
            && (case.outcome == Outcome::Passed || !self.drop_last_passed())
        {
            return;
        }
        shorten(&mut case, self.description);
        self.used += weight(&case);
        if case.outcome == Outcome::Passed {
            self.passed.push((place, case));
        } else {
            self.others.push((place, case));
        }
        while self.used > self.budget && self.shrink() {}
    }

    /// Makes the kept cases smaller: descriptions first, then cases that passed, then the last of the others.
    fn shrink(&mut self) -> bool {
        if self.description > SHORTEST_DESCRIPTION && !self.others.is_empty() {
            self.description = (self.description / 2).max(SHORTEST_DESCRIPTION);
            for (_, case) in &mut self.others {
                self.used -= weight(case);
                shorten(case, self.description);
                self.used += weight(case);
            }
            return true;
        }
        self.drop_last_passed() || self.drop_last_other()
    }

    fn drop_last_passed(&mut self) -> bool {
        let last = self.passed.pop();
        self.used -= last.as_ref().map_or(0, |(_, case)| weight(case));
        last.is_some()
    }

    fn drop_last_other(&mut self) -> bool {
        let last = self.others.pop();
        self.used -= last.as_ref().map_or(0, |(_, case)| weight(case));
        last.is_some()
    }

    /// The kept cases in report order, and a sentence about those that are not there.
    pub(super) fn finish(self) -> (Vec<Case>, Option<String>) {
        let kept = self.passed.len() + self.others.len();
        let left_out = self.seen - kept as u64;
        let cut = (left_out > 0).then(|| {
            let (out, seen) = (thousands(left_out), thousands(self.seen));
            format!("{out} of {seen} cases left out, those that passed first")
        });
        let mut placed = self.passed;
        placed.extend(self.others);
        placed.sort_unstable_by_key(|(place, _)| *place);
        (placed.into_iter().map(|(_, case)| case).collect(), cut)
    }
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn weight(case: &Case) -> usize {
    size_of::<Placed>() + case.name.len() + case.description.len()
}

fn shorten(case: &mut Case, max: usize) {
    let shorter = match head_and_tail(&case.description, max) {
        Cow::Borrowed(same) if same.len() == case.description.len() => return,
        shorter => shorter.into_owned(),
    };
    case.description = shorter;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn case(name: &str, outcome: Outcome, description: usize) -> Case {
        let (name, description) = (name.to_owned(), "x".repeat(description));
        Case { name, outcome, description, duration: Duration::ZERO, memory: None }
    }

    fn names(cases: &[Case]) -> Vec<&str> {
        cases.iter().map(|case| case.name.as_str()).collect()
    }

    #[test]
    fn keeps_failed_cases_in_report_order() {
        let mut kept = Kept::new(&Limits { max_cases: 3, ..Limits::default() });
        for (name, outcome) in [
            ("p1", Outcome::Passed),
            ("f1", Outcome::Failed),
            ("p2", Outcome::Passed),
            ("p3", Outcome::Passed),
            ("s1", Outcome::Skipped),
        ] {
            kept.add(case(name, outcome, 0));
        }
        let (cases, cut) = kept.finish();
        assert_eq!(names(&cases), ["p1", "f1", "s1"]);
        assert_eq!(cut.as_deref(), Some("2 of 5 cases left out, those that passed first"));
    }

    #[test]
    fn the_budget_holds_whatever_comes() {
        let limits = Limits { max_cases: usize::MAX, max_body: 1, ..Limits::default() };
        let mut kept = Kept::new(&limits);
        for _ in 0..4_000 {
            kept.add(case("p", Outcome::Passed, 0));
            kept.add(case("f", Outcome::Failed, 10_000));
        }
        assert!(kept.used <= SMALLEST_BUDGET);
        let (cases, cut) = kept.finish();
        let weight: usize = cases.iter().map(weight).sum();
        assert!(weight <= SMALLEST_BUDGET, "{weight}");
        assert!(cases.len() > 2_000 && cases.iter().all(|case| case.outcome == Outcome::Failed));
        assert!(cases.iter().all(|c| c.description.len() <= SHORTEST_DESCRIPTION * 8));
        assert!(cut.is_some());
    }
}
