//! `--listen`: the state of the process over HTTP, for monitoring and for people. Read-only, without a login.
//!
//! Clients cannot disturb the runner: requests are small, connections are short, a new connection above the limit ends
//! the oldest one, and the disk is read at most once a second.

mod answer;
mod health;
mod metrics;
mod page;
mod process;
mod server;
mod settings;
mod source;
mod status;

pub use server::{bind, run};
pub use settings::{Listen, Settings};
pub use source::Source;
