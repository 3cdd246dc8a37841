//! The pytest executor: the suite's own `run_tests.py`, or a command of the operator's, on the program under test.
//!
//! [`suite`] keeps the suite that all tasks share: its mirror, its [`environment`] and its command line, a [`template`].
//! [`executor`] runs it for one task, [`confined`] as far as the machine allows. The [`plugin`] in the environment reports
//! [`events`] while the suite runs; [`verdict`] weighs them against the report file and the command's end.

mod confined;
mod environment;
mod events;
mod executor;
mod installer;
mod interrupted;
mod kind;
mod plugin;
mod stale;
mod suite;
mod template;
mod verdict;

pub(super) use kind::PytestKind;
pub use suite::Settings as SuiteSettings;
pub use template::Preset;
