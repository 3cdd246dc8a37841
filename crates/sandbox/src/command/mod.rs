//! Commands: supervised child processes.
//!
//! This is the only module that starts child processes. Everything that can hang or be hostile runs under a
//! [supervisor]: the runner's own binary in a mode of its own, a session leader and a child subreaper. Nothing that a
//! command started outlives the command, also if the runner itself is killed; and output neither blocks a child nor fills
//! memory.

mod channel;
mod deadline;
mod disk;
mod error;
mod exit;
mod launcher;
mod limit_hit;
mod meter;
mod observer;
mod output;
mod prepared;
mod program;
mod protocol;
mod running;
mod settings;
mod spec;
mod start;
mod supervised;
pub mod supervisor;
mod sweep;
mod tamper_watch;
mod teardown;
mod tree;

pub use deadline::Deadline;
pub use error::StartError;
pub use exit::{Exit, PluginEvent, Stopped};
pub use launcher::Launcher;
pub use limit_hit::LimitHit;
pub use observer::{CommandEnd, Observer};
pub use output::Captured;
pub use prepared::Prepared;
pub use program::find_program;
pub use running::Running;
pub use settings::Settings;
pub use spec::{BWRAP, Spec};
pub use sweep::sweep;
