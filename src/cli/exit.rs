//! The exit codes of `runner` and its subcommands.

use std::process::ExitCode;

/// Exit code of `runner` or of a subcommand.
///
/// | code | `runner` | `run`, `parse-report` | `spool` | `doctor`, `healthcheck` | `demo` |
/// | --- | --- | --- | --- | --- | --- |
/// | 0 | stopped as requested | passed | done | nothing failed; healthy | all verdicts are as expected |
/// | 1 | cannot work now | did not pass | no entry matched, or refused | something failed; not healthy | a verdict is wrong |
/// | 2 | wrong option | unreadable input | unreadable spool | wrong option | a program is missing |
///
/// 130 belongs to [`crate::pipeline::stop`]: the process exits with it at the third signal, whatever is under way.
/// `docs/operations.md` has the same table for users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// 0: the work is done, and the answer is yes.
    Success,
    /// 1: the answer is no, or the runner cannot work now; the next start may succeed without any change.
    Failure,
    /// 2: an option is wrong or an input is unreadable. A person has to change something, so the systemd units do not
    /// restart the runner.
    Unusable,
}

impl Exit {
    /// [`Exit::Success`] if `good`, otherwise [`Exit::Failure`].
    pub fn of(good: bool) -> Self {
        if good { Self::Success } else { Self::Failure }
    }

    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Unusable => 2,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
