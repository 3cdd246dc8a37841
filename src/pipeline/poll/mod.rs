//! The loop that takes tasks from the backend.
//!
//! The `poller` takes a free slot first (`slots`) and only then requests a task, so that it claims nothing that cannot
//! start at once. `claiming` writes each claim to the spool before anything else happens to it.

mod active;
mod claiming;
mod failures;
mod poller;
mod settings;
mod slots;

pub use poller::Poll;
pub use settings::Settings;
