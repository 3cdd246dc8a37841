//! Tests of the checkout process while it is connected to an untrusted server: it is confined and has no secrets.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use mock_backend::{NewTask, Settings, User};

use crate::support::{World, eventually};

const PASSWORD: &str = "sesame-of-the-runner";

/// A user without privileges.
const USER: u32 = 65_527;

/// A checkout that waits for a server that never answers.
struct Waiting {
    world: World,
    /// The `/proc` folder of the process that is connected to the server.
    process: PathBuf,
    _connection: TcpStream,
}

/// Starts a runner with a password, with the sandbox level `sandbox`, as `user`. Waits until its checkout connects.
async fn waiting(sandbox: &str, user: Option<u32>) -> Waiting {
    let users = vec![User::admin("dora_explorer", PASSWORD)];
    let settings = Settings { auth: true, users, ..Settings::default() };
    let mut world = World::with(settings, &["--auth"]).await.confined(sandbox, user);
    world.restart_with(&[("RUNNER_PASSWORD", PASSWORD), ("RUNNER_TEST_SECRET", "swordfish")]);
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x.git", server.local_addr().unwrap());
    world.backend.submit(NewTask::new(&url, "main"));
    server.set_nonblocking(true).unwrap();
    let mut accepted = None;
    eventually("the checkout connects to the server", || {
        accepted = server.accept().ok();
        accepted.is_some()
    })
    .await;
    let (connection, peer) = accepted.unwrap();
    let process = connected_process(peer)
        .unwrap_or_else(|| panic!("no process has the connection from {peer}\n{}", world.runner.log()));
    Waiting { world, process, _connection: connection }
}

/// Finds the process whose TCP connection has the local address `address`.
fn connected_process(address: SocketAddr) -> Option<PathBuf> {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    // The kernel prints the four address bytes as one little-endian number.
    let own = format!("0100007F:{:04X}", address.port());
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows.into_iter().find(|row| row.get(1) == Some(&own.as_str()))?;
    let socket = format!("socket:[{}]", row[9]);
    let has = |process: &Path| {
        let descriptors = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        descriptors
            .filter_map(|entry| fs::read_link(entry.path()).ok())
            .any(|link| link.as_os_str() == socket.as_str())
    };
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    processes.into_iter().find(|process| process.join("status").exists() && has(process))
}

impl Waiting {
    /// The hexadecimal or decimal number in a line of the process's `status` file.
    fn status(&self, name: &str) -> u64 {
        let status = fs::read_to_string(self.process.join("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
        line.unwrap_or_else(|| panic!("no {name} in {status}")).parse().unwrap()
    }

    /// Whether the process is a descendant of the runner.
    fn is_below_the_runner(&self) -> bool {
        let parent = |process: &Path| {
            let status = fs::read_to_string(process.join("status")).ok()?;
            let number = status.lines().find_map(|line| line.strip_prefix("PPid:\t"))?;
            Some(Path::new("/proc").join(number))
        };
        let runner = Path::new("/proc").join(self.world.runner.pid().to_string());
        std::iter::successors(parent(&self.process), |process| parent(process))
            .any(|process| process == runner)
    }

    fn assert_no_secrets(&self) {
        let read =
            |name: &str| String::from_utf8_lossy(&fs::read(self.process.join(name)).unwrap()).into_owned();
        let (environment, line) = (read("environ"), read("cmdline"));
        assert!(environment.contains("HOME="), "the environment is not readable: {environment:?}");
        for secret in [PASSWORD, "swordfish", "RUNNER_", "token"] {
            assert!(!environment.contains(secret) && !line.contains(secret), "{environment:?} {line:?}");
        }
        let runner = format!("/proc/{}/environ", self.world.runner.pid());
        let runner = fs::read(runner).unwrap();
        assert!(
            String::from_utf8_lossy(&runner).contains(PASSWORD),
            "the runner's own environment lacks the password"
        );
    }

    fn assert_confined(&self) {
        assert_eq!((self.status("NoNewPrivs"), self.status("Seccomp")), (1, 2));
        // CapBnd is not checked: a user without privileges cannot clear it, and cannot regain rights from it.
        for rights in ["CapPrm", "CapEff", "CapInh", "CapAmb"] {
            assert_eq!(self.status(rights), 0, "{rights}");
        }
    }

    /// The spool files that are visible below `root`.
    fn spooled(&self, root: &Path) -> Vec<PathBuf> {
        let spool = self.world.folder().join("state/spool");
        let spool = root.join(spool.strip_prefix("/").unwrap());
        let folders = fs::read_dir(spool).into_iter().flatten().flatten().map(|entry| entry.path());
        folders
            .flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten())
            .map(|e| e.path())
            .collect()
    }
}

/// Whether this test may read `/proc` of other users' processes.
fn can_inspect() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("\n!!! SKIPPED: only root can inspect a process that is not dumpable\n");
    }
    root
}

#[tokio::test]
async fn checkout_is_confined_without_runners_secrets() {
    if !can_inspect() {
        return;
    }
    for (sandbox, user) in [("auto", None), ("auto", Some(USER)), ("basic", None), ("basic", Some(USER))] {
        let waiting = waiting(sandbox, user).await;
        assert!(waiting.is_below_the_runner(), "{:?}", waiting.process);
        waiting.assert_no_secrets();
        waiting.assert_confined();
        assert!(!waiting.spooled(Path::new("/")).is_empty(), "the spool has no claim");
        if waiting.world.runner.logs("sandbox_chosen").await["field.level"] == "bwrap" {
            let seen = waiting.spooled(&waiting.process.join("root"));
            assert!(seen.is_empty(), "{seen:?}");
        }
    }
}

/// The checks above detect a checkout without a sandbox.
#[tokio::test]
async fn detects_checkout_without_sandbox() {
    if !can_inspect() {
        return;
    }
    let waiting = waiting("none", None).await;
    assert!(waiting.is_below_the_runner(), "{:?}", waiting.process);
    assert_eq!((waiting.status("NoNewPrivs"), waiting.status("Seccomp")), (0, 0));
    assert!(!waiting.spooled(&waiting.process.join("root")).is_empty());
    // The environment is clean even without a sandbox.
    waiting.assert_no_secrets();
}
