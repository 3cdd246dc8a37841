//! What lies outside the sandbox and must not be reached: services that remember who called.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::Path;

/// Services on this machine.
pub struct Outside {
    tcp: Vec<(&'static str, TcpListener)>,
    udp: Vec<(&'static str, UdpSocket)>,
    unix: Vec<(&'static str, UnixListener)>,
    datagrams: UnixDatagram,
    /// What an attacker may know of them, a line each.
    lines: String,
}

impl Outside {
    /// Listens below `folder` and on this machine's addresses.
    pub fn start(folder: &Path) -> Self {
        let tcp = vec![
            ("TCP4", TcpListener::bind("0.0.0.0:0").unwrap()),
            ("TCP6", TcpListener::bind("[::1]:0").unwrap()),
        ];
        let udp = vec![
            ("UDP4", UdpSocket::bind("127.0.0.1:0").unwrap()),
            ("UDP6", UdpSocket::bind("[::1]:0").unwrap()),
        ];
        let name = format!("ostest-attack-{}", fastrand::u64(..));
        let path = |name: &str| folder.join(name);
        let abstract_name = SocketAddr::from_abstract_name(&name).unwrap();
        let datagrams = SocketAddr::from_abstract_name(format!("{name}-datagrams")).unwrap();
        let unix = vec![
            ("UNIX_PATH", UnixListener::bind(path("open.sock")).unwrap()),
            ("UNIX_PRIVATE_PATH", UnixListener::bind(path("private.sock")).unwrap()),
            ("ABSTRACT", UnixListener::bind_addr(&abstract_name).unwrap()),
        ];
        let datagrams = UnixDatagram::bind_addr(&datagrams).unwrap();
        fs::set_permissions(path("open.sock"), Permissions::from_mode(0o777)).unwrap();
        fs::set_permissions(path("private.sock"), Permissions::from_mode(0o600)).unwrap();
        let mut lines = format!(
            "ABSTRACT={name}\nUNIX_PATH={}\nUNIX_PRIVATE_PATH={}\nADDRESS={}\n",
            path("open.sock").display(),
            path("private.sock").display(),
            own_address().map(|address| address.to_string()).unwrap_or_default(),
        );
        for (name, listener) in &tcp {
            listener.set_nonblocking(true).unwrap();
            writeln!(lines, "{name}_PORT={}", listener.local_addr().unwrap().port()).unwrap();
        }
        for (name, socket) in &udp {
            socket.set_nonblocking(true).unwrap();
            writeln!(lines, "{name}_PORT={}", socket.local_addr().unwrap().port()).unwrap();
        }
        for (_, listener) in &unix {
            listener.set_nonblocking(true).unwrap();
        }
        datagrams.set_nonblocking(true).unwrap();
        Self { tcp, udp, unix, datagrams, lines }
    }

    /// What an attacker may know of it, as lines `KEY=VALUE`.
    pub fn lines(&self) -> &str {
        &self.lines
    }

    /// Which of the services were reached since the last question.
    pub fn touched(&self) -> Vec<String> {
        let mut touched = Vec::new();
        for (name, listener) in &self.tcp {
            while listener.accept().is_ok() {
                touched.push(format!("{name} was reached"));
            }
        }
        let mut byte = [0];
        for (name, socket) in &self.udp {
            while socket.recv(&mut byte).is_ok() {
                touched.push(format!("{name} was reached"));
            }
        }
        for (name, listener) in &self.unix {
            while listener.accept().is_ok() {
                touched.push(format!("{name} was reached"));
            }
        }
        while self.datagrams.recv(&mut byte).is_ok() {
            touched.push("the abstract datagram socket was reached".to_owned());
        }
        touched
    }
}

/// An address of this machine that is no loopback, where it has one. Sends nothing.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    socket
        .local_addr()
        .ok()
        .map(|address| address.ip())
        .filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}
