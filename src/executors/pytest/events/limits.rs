//! Limits on the events of a run.

use std::time::Duration;

/// Maximum bytes of one line; the lines of the plugin are shorter.
pub(super) const MAX_LINE: usize = 64 << 10;
/// Maximum number of cases that are stored one by one. Further cases are counted and do not pass.
pub(super) const MAX_CASES: usize = 250_000;
/// Maximum bytes of all names together. With more, no further cases are stored.
pub(super) const MAX_NAMES: usize = 32 << 20;
/// Maximum bytes of a description after those of all cases together have reached twice the body of a result.
pub(super) const SHORT_DESCRIPTION: usize = 256;
/// Maximum characters of a note.
pub(super) const MAX_NOTE: usize = 500;
/// Maximum duration of a case: a year.
pub(super) const MAX_DURATION: Duration = Duration::from_secs(366 * 86_400);
/// Maximum number of examples in one warning, and of unexpected lines that are described.
pub(super) const MAX_EXAMPLES: usize = 5;

/// A number of bytes from the settings, as a length.
pub(super) fn length(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
