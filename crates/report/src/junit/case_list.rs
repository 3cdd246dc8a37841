//! The list of cases within the limits: at most a number of cases and a budget of bytes. Cases that did not pass take
//! precedence over those that passed.

use std::borrow::Cow;
use std::mem::size_of;

use crate::{Case, Limits, Outcome};
use text::{head_and_tail, thousands};

/// Least limit of descriptions, in bytes. Below it the list drops cases instead of shortening descriptions.
const MIN_DESCRIPTION: usize = 256;
/// Least budget in bytes, for a small limit of the body.
const MIN_BUDGET: usize = 1 << 20;

/// The place of a case in the report, and the case.
type Placed = (u64, Case);

/// Cases within the limits.
#[derive(Debug)]
pub(super) struct CaseList {
    max_cases: usize,
    budget: usize,
    /// Limit of one description in bytes; shrinks when the budget is full.
    description: usize,
    /// Bytes of all cases in the list.
    used: usize,
    /// Number of all cases of the report so far.
    seen: u64,
    passed: Vec<Placed>,
    others: Vec<Placed>,
}

impl CaseList {
    /// An empty list. Its budget is twice the limit of the body, since more could not be sent.
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            max_cases: limits.max_cases,
            budget: size(limits.max_body).saturating_mul(2).max(MIN_BUDGET),
            description: size(limits.max_description),
            used: 0,
            seen: 0,
            passed: Vec::new(),
            others: Vec::new(),
        }
    }

    /// Whether the list is full for a case that passed, so that the caller need not build it.
    pub(super) fn is_full_for_passed(&self) -> bool {
        self.passed.len() + self.others.len() >= self.max_cases || self.used >= self.budget
    }

    /// Counts a case that is left out.
    pub(super) fn leave_out(&mut self) {
        self.seen += 1;
    }

    /// Adds `case` where there is room, or where dropping a case that passed makes room.
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

    /// Makes the list smaller: halves descriptions first, then drops the last case that passed, then the last other one.
    /// Returns whether it could.
    fn shrink(&mut self) -> bool {
        if self.description > MIN_DESCRIPTION && !self.others.is_empty() {
            self.description = (self.description / 2).max(MIN_DESCRIPTION);
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

    /// The cases in report order, and a sentence about those that were left out.
    pub(super) fn finish(self) -> (Vec<Case>, Option<String>) {
        let listed = self.passed.len() + self.others.len();
        let left_out = self.seen - listed as u64;
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

/// Bytes that a case takes in memory.
fn weight(case: &Case) -> usize {
    size_of::<Placed>() + case.name.len() + case.description.len()
}

/// Shortens the description of `case` to `max` bytes.
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
        let mut list = CaseList::new(&Limits { max_cases: 3, ..Limits::default() });
        for (name, outcome) in [
            ("p1", Outcome::Passed),
            ("f1", Outcome::Failed),
            ("p2", Outcome::Passed),
            ("p3", Outcome::Passed),
            ("s1", Outcome::Skipped),
        ] {
            list.add(case(name, outcome, 0));
        }
        let (cases, cut) = list.finish();
        assert_eq!(names(&cases), ["p1", "f1", "s1"]);
        assert_eq!(cut.as_deref(), Some("2 of 5 cases left out, those that passed first"));
    }

    #[test]
    fn the_budget_holds_whatever_comes() {
        let limits = Limits { max_cases: usize::MAX, max_body: 1, ..Limits::default() };
        let mut list = CaseList::new(&limits);
        for _ in 0..4_000 {
            list.add(case("p", Outcome::Passed, 0));
            list.add(case("f", Outcome::Failed, 10_000));
        }
        assert!(list.used <= MIN_BUDGET);
        let (cases, cut) = list.finish();
        let weight: usize = cases.iter().map(weight).sum();
        assert!(weight <= MIN_BUDGET, "{weight}");
        assert!(cases.len() > 2_000 && cases.iter().all(|case| case.outcome == Outcome::Failed));
        assert!(cases.iter().all(|c| c.description.len() <= MIN_DESCRIPTION * 8));
        assert!(cut.is_some());
    }
}
