//! Control groups: they enforce the limits of a task and measure what it used. Version 2 is used if the runner has a
//! subtree of its own (systemd's `Delegate=yes`), version 1 if the machine has that.

mod cases;
mod files;
mod find;
mod group;
mod groups;

pub use group::{Group, join};
pub use groups::{Groups, PREFIX};
