//! Files that a confined command sees. Its supervisor makes them before the command starts.
//!
//! With namespaces the task gets a disk of its own in a mount namespace; without them, owners and modes are set. With
//! namespaces nothing of that needs the program under test, which may still be on its way: [`fill`] copies it last.

mod disk;
mod etc;
mod make;
mod mounts;
mod orders;
mod owners;
mod paths;
mod report;

pub use make::{fill, make};
pub use orders::orders;
pub use paths::{SHARED, SYSTEM, TERMINALS, visible};
pub use report::take_report;
