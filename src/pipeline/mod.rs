//! The way of a task: [`poll`] claims it, an [`attempt`] lets a [`worker`] run it, [`deliver`] sends its result.
//!
//! [`retry`] and [`stop`] are the rules for repeated tries and for the end of the runner; [`artifacts`] are the files of
//! the last tasks that the state folder keeps for people.

pub mod artifacts;
pub mod attempt;
pub mod deliver;
pub mod poll;
pub mod retry;
pub mod stop;
pub mod worker;
