//! The daemon: [`assemble`] builds its parts, [`reload`] reads the settings again, [`notify`] speaks to the service manager.

pub mod assemble;
pub mod init;
pub mod notify;
pub mod reload;

pub use assemble::{Daemon, NotNow, OWN_BINARY, find_sandbox, worker};
