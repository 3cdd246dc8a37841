//! The way to the service manager: a datagram to the socket that it names (sd_notify(3)).
//!
//! Not a library's: theirs wait where the manager does not read, and the one thread that would wait is the poll loop's.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long a message is tried where the manager does not read.
const PATIENCE: Duration = Duration::from_secs(5);

/// The manager's socket.
#[derive(Debug)]
pub(super) struct Socket {
    own: UnixDatagram,
    /// Not connected: a manager that is executed again may make its socket anew.
    to: SocketAddr,
}

impl Socket {
    /// The socket that `NOTIFY_SOCKET` names: an absolute path, or `@` and an abstract name.
    pub(super) fn named(name: &OsStr) -> io::Result<Self> {
        let to = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(name)?,
            _ => {
                let taken = "expected an absolute path, or @ and an abstract name";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, taken));
            }
        };
        let own = UnixDatagram::unbound()?;
        own.set_nonblocking(true)?;
        Ok(Self { own, to })
    }

    /// Sends assignments, a line each; whether they have arrived. A manager that does not read is waited for a while,
    /// at nobody else's cost.
    pub(super) async fn send(&self, message: &str) -> bool {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.own.send_to_addr(message.as_bytes(), &self.to) {
                Ok(_) => return true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < end => {
                    sleep(Duration::from_millis(50)).await;
                }
                Err(error) => {
                    tracing::debug!(name: "notify_failed", %error, "the service manager cannot be told anything");
                    return false;
                }
            }
        }
    }
}

/// What the manager's variables say: its socket, and how often it wants a sign of life. What is wrong with them is one
/// warning each, and no reason not to work.
pub(super) fn from(variable: impl Fn(&str) -> Option<OsString>) -> (Option<Socket>, Option<Duration>) {
    let given = |name: &str| variable(name).filter(|value| !value.is_empty());
    let Some(name) = given("NOTIFY_SOCKET") else { return (None, None) };
    let socket = match Socket::named(&name) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::warn!(name: "notify_socket_unusable", socket = ?name, %error, "NOTIFY_SOCKET cannot be used; the service manager is told nothing");
            return (None, None);
        }
    };
    let number = |value: OsString| value.to_str().and_then(|text| text.parse::<u64>().ok());
    // A watchdog that watches another process is none of ours.
    if given("WATCHDOG_PID").is_some_and(|pid| number(pid) != Some(u64::from(std::process::id()))) {
        return (Some(socket), None);
    }
    let Some(value) = given("WATCHDOG_USEC") else { return (Some(socket), None) };
    let every = number(value.clone()).filter(|&micros| micros > 0).map(Duration::from_micros);
    if every.is_none() {
        tracing::warn!(name: "watchdog_unusable", ?value, "WATCHDOG_USEC is no number of microseconds; the watchdog is not fed");
    }
    (Some(socket), every)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> (bool, Option<u64>) {
        let (socket, watchdog) = from(|name| {
            variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| OsString::from(value))
        });
        (socket.is_some(), watchdog.map(|every| every.as_secs()))
    }

    #[test]
    fn wrong_variables_of_the_manager_are_as_none() {
        let own = std::process::id().to_string();
        let (name, usec) = (("NOTIFY_SOCKET", "/run/notify"), ("WATCHDOG_USEC", "20000000"));
        for (variables, expected) in [
            (vec![], (false, None)),
            (vec![usec], (false, None)),
            (vec![name], (true, None)),
            (vec![("NOTIFY_SOCKET", "@abstract"), usec], (true, Some(20))),
            (vec![name, usec, ("WATCHDOG_PID", &own)], (true, Some(20))),
            (vec![name, usec, ("WATCHDOG_PID", "1")], (true, None)),
            (vec![name, ("WATCHDOG_USEC", "soon")], (true, None)),
            (vec![name, ("WATCHDOG_USEC", "0")], (true, None)),
            (vec![("NOTIFY_SOCKET", "relative"), usec], (false, None)),
            (vec![("NOTIFY_SOCKET", ""), usec], (false, None)),
        ] {
            assert_eq!(read(&variables), expected, "{variables:?}");
        }
        let long = format!("/{}", "x".repeat(200));
        assert_eq!(read(&[("NOTIFY_SOCKET", &long)]), (false, None), "longer than an address may be");
    }
}
