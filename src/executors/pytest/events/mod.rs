//! The events that the plugin sends while a suite runs, over a socket that no program under test has: which cases there
//! are, and how each one ended.
//!
//! [`Events`] collects the [`message`]s of a run into a [`case`] for each test; [`judge`] makes the report from them and the
//! suite's report file. Any lines give a result, in bounded memory, and unexpected lines can only take passes away.

mod case;
mod judge;
mod limits;
mod message;
mod names;
#[cfg(test)]
mod real;
mod record;
#[cfg(test)]
mod tests;

pub(super) use message::Line;
pub(super) use record::Events;
