//! `runner spool`: shows the tasks that the runner has taken and not answered, and lets a person resend or remove them.
//!
//! It works beside a running runner, which notices resent results by itself; only the runner's claims cannot be removed.
//!
//! `command` runs the subcommands, `select` finds the entries that a person names, `show` prints them.

mod command;
mod select;
mod show;

pub use command::{SpoolCommand, run};
pub use select::Which;

#[cfg(test)]
mod tests;
