//! The log: its settings, its target, and its two formats. The daemon logs to stdout; a subcommand logs to stderr,
//! because stdout is for its output.

mod file;
mod journal;
mod json;
mod level;
mod settings;
mod start;
mod target;

pub use level::Level;
pub use settings::{Format, Settings};
pub use start::{Log, start};
