//! What the programs share that drive real runners: finding one, starting it, and repositories for it.

pub(crate) mod programs;
pub(crate) mod repositories;

use std::fmt::Display;
use std::io::Write as _;

/// A line on stdout. Whoever closed it does not want to read; the program goes on.
pub(crate) fn say(line: impl Display) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}
