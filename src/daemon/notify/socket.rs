//! Sends messages to the service manager: datagrams to the socket that it names (sd_notify(3)).
//!
//! Libraries for this block while the manager does not read, and would block the only thread, with the poll loop.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long a message is tried if the manager does not read.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// The manager's socket.
#[derive(Debug)]
pub(super) struct Socket {
    own: UnixDatagram,
    /// The address; not connected, because a manager that executes itself again may make a new socket.
    to: SocketAddr,
}

impl Socket {
    /// The socket that `NOTIFY_SOCKET` names: an absolute path, or `@` and an abstract name.
    pub(super) fn named(name: &OsStr) -> io::Result<Self> {
        let to = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(name)?,
            _ => {
                let message = "expected an absolute path, or @ and an abstract name";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
        };
        let own = UnixDatagram::unbound()?;
        own.set_nonblocking(true)?;
        Ok(Self { own, to })
    }

    /// Sends assignments, one on each line. Returns whether they were sent. While the manager does not read, tries again
    /// for a while without blocking the thread.
    pub(super) async fn send(&self, message: &str) -> bool {
        let end = Instant::now() + SEND_TIMEOUT;
        loop {
            match self.own.send_to_addr(message.as_bytes(), &self.to) {
                Ok(_) => return true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < end => {
                    sleep(Duration::from_millis(50)).await;
                }
                Err(error) => {
                    tracing::debug!(name: "notify_failed", %error, "a message to the service manager was not sent");
                    return false;
                }
            }
        }
    }
}

/// Reads the manager's variables: its socket, and the interval of its watchdog. A wrong variable is ignored with one
/// warning.
pub(super) fn from(variable: impl Fn(&str) -> Option<OsString>) -> (Option<Socket>, Option<Duration>) {
    let given = |name: &str| variable(name).filter(|value| !value.is_empty());
    let Some(name) = given("NOTIFY_SOCKET") else { return (None, None) };
    let socket = match Socket::named(&name) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::warn!(name: "notify_socket_unusable", socket = ?name, %error, "NOTIFY_SOCKET cannot be used; the service manager gets no messages");
            return (None, None);
        }
    };
    let number = |value: OsString| value.to_str().and_then(|text| text.parse::<u64>().ok());
    // The watchdog watches another process.
    if given("WATCHDOG_PID").is_some_and(|pid| number(pid) != Some(u64::from(std::process::id()))) {
        return (Some(socket), None);
    }
    let Some(value) = given("WATCHDOG_USEC") else { return (Some(socket), None) };
    let every = number(value.clone()).filter(|&micros| micros > 0).map(Duration::from_micros);
    if every.is_none() {
        tracing::warn!(name: "watchdog_unusable", ?value, "WATCHDOG_USEC is not a number of microseconds; the watchdog is not fed");
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
    fn ignores_wrong_variables() {
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
