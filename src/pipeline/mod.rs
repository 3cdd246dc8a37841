//! The way of a task: [`poll`] claims it, an [`attempt`] has a [`worker`] run it, [`deliver`] sends the result.

pub mod attempt;
pub mod deliver;
pub mod kept;
pub mod poll;
pub mod retry;
pub mod stop;
pub mod worker;
