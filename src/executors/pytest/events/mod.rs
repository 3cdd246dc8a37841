//! What the suite's own interpreter told while it ran, over a socket that no student's program has: which cases there
//! are, and what each came to. Total: any lines give an answer, in bounded memory, and whatever is odd in them can
//! only take passes away.

use std::time::Duration;

use serde::Deserialize;

use report::{Limits, Outcome};
use text::{head_and_tail, one_line, shorten};

mod judge;
mod names;
#[cfg(test)]
mod real;
#[cfg(test)]
mod tests;

/// Bytes of one line; the plugin's are shorter.
pub(super) const LONGEST_LINE: usize = 64 << 10;
/// Cases that are remembered one by one. What is more is counted, and has not passed.
const MOST_CASES: usize = 250_000;
/// Bytes of all names together; with more, no further cases are remembered.
const MOST_NAMES: usize = 32 << 20;
/// Bytes of a description once those of all cases together are twice the body of a result.
const SHORT_DESCRIPTION: usize = 256;
/// Characters of a note.
const LONGEST_NOTE: usize = 500;
/// The longest time taken of a case: a year.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// A line of the channel, with what the runner saw when it came.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Line<'a> {
    /// The line, without its end.
    pub(super) text: &'a str,
    /// Bytes of memory at the peak since the case's start; only of use with an `end`.
    pub(super) memory: Option<u64>,
    /// A sentence about the case for the student, such as why its program was killed; only of use with an `end`.
    pub(super) note: Option<&'a str>,
}

/// A message of the plugin.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Message {
    Hello {
        version: u64,
    },
    Collected {
        cases: Vec<String>,
    },
    Begin {
        count: u64,
    },
    Start {
        case: u64,
    },
    End {
        case: u64,
        outcome: String,
        #[serde(default)]
        duration: f64,
        #[serde(default)]
        description: String,
    },
    Finish {
        exit: i64,
    },
    /// What is told of some cases is not worth as much as of others.
    Doubt {
        why: String,
    },
}

/// How far a case has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Collected,
    Running,
    Ended(Outcome),
}

/// A case and what was told of it.
#[derive(Debug)]
struct Told {
    name: String,
    state: State,
    description: String,
    duration: Duration,
    memory: Option<u64>,
    note: Option<String>,
}

/// What was told of a run.
#[derive(Debug, Default)]
pub(super) struct Events {
    cases: Vec<Told>,
    /// Cases that are not remembered one by one.
    surplus: u64,
    /// What `begin` says, of cases remembered and not.
    begun: Option<u64>,
    exit: Option<i64>,
    /// The exit code of the first session that did not end well, where another one followed.
    failed: Option<i64>,
    /// The first lines that make no sense where they stand, and how many there are.
    odd: Vec<String>,
    odd_lines: u64,
    /// What the plugin itself doubts.
    doubts: Vec<String>,
    names: usize,
    descriptions: usize,
}

impl Events {
    /// Takes the lines in their order; none: nobody ever said hello, so there is no plugin and no truth in them.
    pub(super) fn read<'a>(lines: impl Iterator<Item = Line<'a>>, limits: &Limits) -> Option<Self> {
        let mut events: Option<Self> = None;
        for line in lines {
            let message = if line.text.len() > LONGEST_LINE {
                Err("a line is too long".to_owned())
            } else {
                serde_json::from_str(line.text).map_err(|error| format!("a line is no event: {error}"))
            };
            match (&mut events, message) {
                (None, Ok(Message::Hello { version: 1 })) => events = Some(Self::default()),
                // Another version would mean other things by the same words.
                (None, _) => {}
                (Some(events), Ok(message)) => events.take(message, &line, limits),
                (Some(events), Err(why)) => events.note_odd(why),
            }
        }
        events
    }

    /// How many cases there are, whether or not they ran.
    pub(super) fn total(&self) -> usize {
        usize::try_from(self.unlisted()).unwrap_or(usize::MAX).saturating_add(self.cases.len())
    }

    /// How many cases have ended.
    pub(super) fn finished(&self) -> usize {
        self.cases.iter().filter(|case| matches!(case.state, State::Ended(_))).count()
    }

    /// Whether all was told that there is to tell: every case has ended, and so has the session.
    pub(super) fn complete(&self) -> bool {
        self.exit.is_some()
            && self.begun.is_some()
            && self.unlisted() == 0
            && self.finished() == self.cases.len()
    }

    /// pytest's exit code, once the session has ended.
    pub(super) fn exit(&self) -> Option<i64> {
        self.exit
    }

    /// Cases that are there, but of which nothing else is known: what `begin` counts beyond those that were named, or
    /// what was named beyond those that are remembered. They have not passed.
    fn unlisted(&self) -> u64 {
        let known = self.cases.len() as u64;
        self.surplus.max(self.begun.map_or(0, |count| count.saturating_sub(known)))
    }

    fn take(&mut self, message: Message, line: &Line<'_>, limits: &Limits) {
        if self.exit.is_some() && !matches!(message, Message::Hello { .. }) {
            return self.note_odd("an event came after the end".to_owned());
        }
        match message {
            // One session after the other in one interpreter: what has ended badly stays so.
            Message::Hello { .. } => match self.exit.take() {
                Some(exit) => {
                    self.begun = None;
                    self.failed = self.failed.or(Some(exit).filter(|&exit| exit != 0));
                }
                None => self.note_odd("a second hello came".to_owned()),
            },
            Message::Collected { cases } => cases.iter().for_each(|name| self.add(name)),
            Message::Begin { count } => {
                let known = self.cases.len() as u64 + self.surplus;
                if count != known || self.begun.is_some() {
                    self.note_odd(format!("{count} cases were announced and {known} named"));
                }
                self.begun = self.begun.max(Some(count));
            }
            Message::Start { case } => self.start(case),
            Message::End { case, outcome, duration, description } => {
                self.end(case, &outcome, duration, &description, line, limits);
            }
            Message::Doubt { why } if self.doubts.len() < judge::EXAMPLES => {
                self.doubts.push(shorten(&one_line(&why), LONGEST_NOTE).into_owned());
            }
            Message::Doubt { .. } => {}
            Message::Finish { exit } => self.exit = Some(self.failed.unwrap_or(exit)),
        }
    }

    fn add(&mut self, name: &str) {
        let name = names::of_event(name);
        if self.surplus > 0 || self.cases.len() >= MOST_CASES || self.names + name.len() > MOST_NAMES {
            self.surplus += 1;
            return;
        }
        self.names += name.len();
        self.cases.push(Told {
            name,
            state: State::Collected,
            description: String::new(),
            duration: Duration::ZERO,
            memory: None,
            note: None,
        });
    }

    fn start(&mut self, case: u64) {
        match self.case(case).map(|case| &mut case.state) {
            Some(state @ State::Collected) => *state = State::Running,
            Some(State::Running | State::Ended(_)) => self.note_odd(format!("case {case} began twice")),
            None => self.note_odd(format!("case {case} began and was never named")),
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
        let budget = size(limits.max_body).saturating_mul(2);
        let most = if self.descriptions < budget { usize::MAX } else { SHORT_DESCRIPTION };
        let Some(case) = self.case(index) else {
            return self.note_odd(format!("case {index} ended and was never named"));
        };
        let (mut outcome, known) = match outcome {
            "passed" => (Outcome::Passed, true),
            "failed" => (Outcome::Failed, true),
            "skipped" => (Outcome::Skipped, true),
            other => (Outcome::Errored, other == "errored"),
        };
        let mut odd = (!known).then(|| format!("case {index} ended in an unknown way"));
        match case.state {
            State::Running => {}
            State::Collected => {
                odd = Some(format!("case {index} ended without a beginning"));
                outcome = worse(outcome, Outcome::Errored);
            }
            State::Ended(before) => {
                odd = Some(format!("case {index} ended twice"));
                outcome = worse(outcome, before);
            }
        }
        let description = names::description(description, outcome);
        case.state = State::Ended(outcome);
        case.description = head_and_tail(&description, most.min(size(limits.max_description))).into_owned();
        case.note = line.note.map(|note| shorten(&one_line(note), LONGEST_NOTE).into_owned());
        case.duration = Duration::try_from_secs_f64(duration).unwrap_or_default().min(LONGEST);
        case.memory = line.memory;
        self.descriptions = self.descriptions.saturating_add(case_weight(&self.cases, index));
        if let Some(odd) = odd {
            self.note_odd(odd);
        }
    }

    fn case(&mut self, index: u64) -> Option<&mut Told> {
        self.cases.get_mut(usize::try_from(index).ok()?)
    }

    fn note_odd(&mut self, what: String) {
        self.odd_lines += 1;
        if self.odd.len() < judge::EXAMPLES {
            self.odd.push(what);
        }
    }
}

/// The worse of the two: nothing that is told later makes a case better.
fn worse(one: Outcome, other: Outcome) -> Outcome {
    let severity = |outcome| match outcome {
        Outcome::Passed => 0,
        Outcome::Skipped => 1,
        Outcome::Failed => 2,
        Outcome::Errored => 3,
    };
    if severity(one) >= severity(other) { one } else { other }
}

fn case_weight(cases: &[Told], index: u64) -> usize {
    usize::try_from(index).ok().and_then(|index| cases.get(index)).map_or(0, |case| case.description.len())
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
