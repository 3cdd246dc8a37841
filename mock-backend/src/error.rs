//! Errors of the library.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Error of starting a backend.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Binding the address failed, for example because the port is in use.
    #[error("cannot listen on {address}: {cause}")]
    Bind {
        /// The address to listen on.
        address: SocketAddr,
        /// Error of the operating system.
        cause: io::Error,
    },
    /// An endpoint path without a leading slash.
    #[error("the path `{0}` does not begin with a slash")]
    Path(String),
}

/// A wait that timed out.
#[derive(Debug, thiserror::Error)]
#[error("timed out after {timeout:?} waiting for {condition}; state of the mock backend:\n{state}")]
pub struct WaitError {
    /// Description of the awaited condition.
    pub condition: String,
    /// The timeout.
    pub timeout: Duration,
    /// The attempts and the last requests at the timeout.
    pub state: String,
}
