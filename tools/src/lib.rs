//! Code shared by the developer programs `bench` and `soak`, which drive real runners: child processes, their logs, Git
//! repositories and `/proc`.

pub mod log;
pub mod proc;
pub mod programs;
pub mod repositories;

use std::fmt::Display;
use std::io::Write as _;

/// Prints a line to stdout. Ignores a closed stdout, so that the program completes.
pub fn print_line(line: impl Display) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}
