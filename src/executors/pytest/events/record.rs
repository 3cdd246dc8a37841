//! Collects the events of a run.

use std::time::Duration;

use report::{Limits, Outcome};
use text::{head_and_tail, one_line, shorten};

use super::case::{CaseRecord, State};
use super::limits::{
    MAX_CASES, MAX_DURATION, MAX_EXAMPLES, MAX_LINE, MAX_NAMES, MAX_NOTE, SHORT_DESCRIPTION, length,
};
use super::message::{Line, Message};
use super::names;

/// The events of a run.
#[derive(Debug, Default)]
pub(in crate::executors::pytest) struct Events {
    /// The cases, by their index.
    pub(super) cases: Vec<CaseRecord>,
    /// Number of cases that are not stored one by one.
    surplus: u64,
    /// Number of cases that `begin` announced, stored or not.
    announced: Option<u64>,
    /// pytest's exit code, once the session has ended.
    exit: Option<i64>,
    /// The exit code of the first session that failed, if another one followed.
    failed: Option<i64>,
    /// Descriptions of the first unexpected lines.
    pub(super) unexpected: Vec<String>,
    /// Number of unexpected lines.
    pub(super) unexpected_count: u64,
    /// Reasons for which the plugin cannot vouch for some results.
    pub(super) doubts: Vec<String>,
    /// Bytes of all names.
    name_bytes: usize,
    /// Bytes of all descriptions.
    description_bytes: usize,
}

impl Events {
    /// Reads the lines in their order. Returns `None` if there is no `hello` of a known version: then no plugin has sent them.
    pub(in crate::executors::pytest) fn read<'a>(
        lines: impl Iterator<Item = Line<'a>>,
        limits: &Limits,
    ) -> Option<Self> {
        let mut events: Option<Self> = None;
        for line in lines {
            let message = if line.text.len() > MAX_LINE {
                Err("a line is too long".to_owned())
            } else {
                serde_json::from_str(line.text).map_err(|error| format!("a line is not an event: {error}"))
            };
            match (&mut events, message) {
                (None, Ok(Message::Hello { version: 1 })) => events = Some(Self::default()),
                // Without a `hello` of a known version the meaning of a message is unknown.
                (None, _) => {}
                (Some(events), Ok(message)) => events.take(message, &line, limits),
                (Some(events), Err(why)) => events.add_unexpected(why),
            }
        }
        events
    }

    /// The number of cases, whether or not they ran.
    pub(in crate::executors::pytest) fn total(&self) -> usize {
        usize::try_from(self.unlisted()).unwrap_or(usize::MAX).saturating_add(self.cases.len())
    }

    /// The number of cases that have ended.
    pub(in crate::executors::pytest) fn finished(&self) -> usize {
        self.cases.iter().filter(|case| matches!(case.state, State::Ended(_))).count()
    }

    /// Whether nothing is missing: every case has ended, and so has the session.
    pub(in crate::executors::pytest) fn complete(&self) -> bool {
        self.exit.is_some()
            && self.announced.is_some()
            && self.unlisted() == 0
            && self.finished() == self.cases.len()
    }

    /// pytest's exit code, once the session has ended.
    pub(in crate::executors::pytest) fn exit(&self) -> Option<i64> {
        self.exit
    }

    /// The number of cases of which only the existence is known: announced by `begin` but not named, or named but not stored.
    /// They do not pass.
    pub(super) fn unlisted(&self) -> u64 {
        let known = self.cases.len() as u64;
        self.surplus.max(self.announced.map_or(0, |count| count.saturating_sub(known)))
    }

    /// Records one message.
    fn take(&mut self, message: Message, line: &Line<'_>, limits: &Limits) {
        if self.exit.is_some() && !matches!(message, Message::Hello { .. }) {
            return self.add_unexpected("an event came after the end".to_owned());
        }
        match message {
            // One interpreter can run several sessions. If one of them failed, a later one does not change that.
            Message::Hello { .. } => match self.exit.take() {
                Some(exit) => {
                    self.announced = None;
                    self.failed = self.failed.or(Some(exit).filter(|&exit| exit != 0));
                }
                None => self.add_unexpected("a second hello came".to_owned()),
            },
            Message::Collected { cases } => cases.iter().for_each(|name| self.add_case(name)),
            Message::Begin { count } => {
                let known = self.cases.len() as u64 + self.surplus;
                if count != known || self.announced.is_some() {
                    self.add_unexpected(format!("{count} cases were announced and {known} named"));
                }
                self.announced = self.announced.max(Some(count));
            }
            Message::Start { case } => self.start(case),
            Message::End { case, outcome, duration, description } => {
                self.end(case, &outcome, duration, &description, line, limits);
            }
            Message::Doubt { why } if self.doubts.len() < MAX_EXAMPLES => {
                self.doubts.push(shorten(&one_line(&why), MAX_NOTE).into_owned());
            }
            Message::Doubt { .. } => {}
            Message::Finish { exit } => self.exit = Some(self.failed.unwrap_or(exit)),
        }
    }

    fn add_case(&mut self, name: &str) {
        let name = names::of_event(name);
        if self.surplus > 0 || self.cases.len() >= MAX_CASES || self.name_bytes + name.len() > MAX_NAMES {
            self.surplus += 1;
            return;
        }
        self.name_bytes += name.len();
        self.cases.push(CaseRecord::collected(name));
    }

    fn start(&mut self, case: u64) {
        match self.case(case).map(|case| &mut case.state) {
            Some(state @ State::Collected) => *state = State::Running,
            Some(State::Running | State::Ended(_)) => self.add_unexpected(format!("case {case} began twice")),
            None => self.add_unexpected(format!("case {case} began and was never named")),
        }
    }

    fn end(
        &mut self,
        index: u64,
        outcome: &str,
        duration: f64,
        description: &str,
        line: &Line<'_>,
        limits: &Limits,
    ) {
        let budget = length(limits.max_body).saturating_mul(2);
        let max_bytes = length(limits.max_description);
        let max_bytes =
            if self.description_bytes < budget { max_bytes } else { max_bytes.min(SHORT_DESCRIPTION) };
        let Some(case) = self.case(index) else {
            return self.add_unexpected(format!("case {index} ended and was never named"));
        };
        let (mut outcome, known) = match outcome {
            "passed" => (Outcome::Passed, true),
            "failed" => (Outcome::Failed, true),
            "skipped" => (Outcome::Skipped, true),
            other => (Outcome::Errored, other == "errored"),
        };
        let mut unexpected = (!known).then(|| format!("case {index} ended in an unknown way"));
        match case.state {
            State::Running => {}
            State::Collected => {
                unexpected = Some(format!("case {index} ended without a beginning"));
                outcome = worse(outcome, Outcome::Errored);
            }
            State::Ended(before) => {
                unexpected = Some(format!("case {index} ended twice"));
                outcome = worse(outcome, before);
            }
        }
        let description = names::description(description, outcome);
        case.state = State::Ended(outcome);
        case.description = head_and_tail(&description, max_bytes).into_owned();
        let written = case.description.len();
        case.note = line.note.map(|note| shorten(&one_line(note), MAX_NOTE).into_owned());
        case.duration = Duration::try_from_secs_f64(duration).unwrap_or_default().min(MAX_DURATION);
        case.memory = line.memory;
        self.description_bytes = self.description_bytes.saturating_add(written);
        if let Some(unexpected) = unexpected {
            self.add_unexpected(unexpected);
        }
    }

    fn case(&mut self, index: u64) -> Option<&mut CaseRecord> {
        self.cases.get_mut(usize::try_from(index).ok()?)
    }

    fn add_unexpected(&mut self, what: String) {
        self.unexpected_count += 1;
        if self.unexpected.len() < MAX_EXAMPLES {
            self.unexpected.push(what);
        }
    }
}

/// The worse of two outcomes, so that a later event cannot improve a case.
fn worse(one: Outcome, other: Outcome) -> Outcome {
    let severity = |outcome| match outcome {
        Outcome::Passed => 0,
        Outcome::Skipped => 1,
        Outcome::Failed => 2,
        Outcome::Errored => 3,
    };
    if severity(one) >= severity(other) { one } else { other }
}
