//! State of the running process: counters, running and finished tasks, health, the log and the line of progress.
//!
//! The daemon makes one [`Observe`] and hands it to each part, which reports its events there. Reporting is cheap and
//! never fails, and nothing here decides anything. [`serve`] shows the state over HTTP. Names of metrics and log events
//! are an interface: docs/metrics.md.

mod commands;
mod confinement;
mod events;
mod handle;
mod health;
pub mod logging;
mod metrics;
mod outcomes;
pub mod screen;
pub mod serve;
mod tasks;
mod watch;

pub use confinement::Confinement;
pub use handle::Observe;
pub use health::{Health, Phase, Suite};
pub use outcomes::{LoginOutcome, PollOutcome};
pub use tasks::{Delivery, FinishedTask, RunningTask};
pub use watch::TaskWatch;

#[cfg(test)]
mod tests;
