//! The daemon: starts, works, reloads and stops.
//!
//! [`assemble`] builds its parts, [`start`] runs them, [`work`] is what it does with tasks, [`reload`] reads the
//! settings again at SIGHUP, [`notify`] reports to the service manager, [`init`] is process 1 of a container.

pub mod assemble;
pub mod init;
pub mod notify;
pub mod reload;
pub mod start;
pub mod work;

pub use assemble::{CannotWork, Daemon, OWN_BINARY, find_sandbox, worker};
pub use start::run;
