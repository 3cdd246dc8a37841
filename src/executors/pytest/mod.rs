//! The pytest executor: runs the suite's `run_tests.py`, or a command line of the operator, on the program under test.
//!
//! [`suite`] keeps the suite that all tasks share: its mirror, its [`environment`] and its command line, a [`template`].
//! [`executor`] runs it for one task, [`confined`] as far as the machine allows. The [`plugin`] in the environment sends
//! [`events`] while the suite runs; [`verdict`] compares them with the report file and the end of the command.

mod confined;
mod environment;
mod events;
mod executor;
mod installer;
mod interrupted;
mod kind;
mod plugin;
mod selection;
mod stale;
mod suite;
mod template;
mod verdict;

pub(super) use kind::PytestKind;
pub use suite::Settings as SuiteSettings;
pub use template::Preset;
