//! The result of one check.

use serde_json::{Value, json};

use text::{one_line, without_address_secrets};

/// State of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing to mend.
    Ok,
    /// Tasks run, but worse or less safely than they could.
    Warning,
    /// Tasks do not run.
    Failure,
    /// Not checked, because something else has to be mended first.
    Skipped,
}

impl State {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failure => "failure",
            Self::Skipped => "skipped",
        }
    }
}

/// Result of a check.
#[derive(Debug)]
pub(super) struct Finding {
    /// Name of the check.
    pub(super) check: String,
    pub(super) state: State,
    /// What was found, in one line.
    pub(super) says: String,
    /// The command that mends it, or what to do.
    pub(super) mend: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: impl Into<String>, says: impl Into<String>) -> Self {
        Self { check: check.into(), state: State::Ok, says: says.into(), mend: None }
    }

    pub(super) fn warning(
        check: impl Into<String>,
        says: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self { state: State::Warning, mend: Some(mend.into()), ..Self::ok(check, says) }
    }

    pub(super) fn failure(
        check: impl Into<String>,
        says: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self { state: State::Failure, mend: Some(mend.into()), ..Self::ok(check, says) }
    }

    /// A check that cannot be made, because the settings are wrong.
    pub(super) fn skipped(check: &str) -> Self {
        Self { state: State::Skipped, ..Self::ok(check, "not checked, because the settings are wrong") }
    }

    /// The finding as an object of `--json`.
    pub(super) fn as_json(&self) -> Value {
        json!({
            "check": self.check,
            "state": self.state.name(),
            "says": clean(&self.says),
            "mend": self.mend.as_deref().map(clean),
        })
    }

    /// The finding as one or two lines for people.
    pub(super) fn as_lines(&self) -> String {
        let line = format!("{:<8} {:<18} {}\n", self.state.name(), self.check, clean(&self.says));
        match &self.mend {
            Some(mend) => format!("{line}{:27} mend: {}\n", "", clean(mend)),
            None => line,
        }
    }
}

/// One line without secrets: the text may quote other programs.
fn clean(text: &str) -> String {
    without_address_secrets(&one_line(text))
}
