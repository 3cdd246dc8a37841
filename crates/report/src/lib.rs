//! The result of a task: its test cases, the fault of a failed run, and the verdict that follows.
//!
//! A [`Report`] exists for every claimed task. [`junit`] reads one from a file; the rest is without I/O.

mod case;
mod fault;
pub mod junit;
mod limits;
mod report;
mod tally;
mod verdict;

pub use case::{Case, Outcome, UNNAMED, case_name};
pub use fault::{Cause, Fault, Progress};
pub use limits::Limits;
pub use report::Report;
pub use tally::Tally;
pub use verdict::Verdict;
