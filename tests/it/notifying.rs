//! Tests of the notifications for a service manager, on a real datagram socket: readiness, watchdog, reload, stop.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mock_backend::{Endpoint, Fault, FaultKind, Settings, TaskId};
use nix::sys::signal::Signal;
use ostest_runner::daemon::notify::Manager;
use ostest_runner::observe::{Observe, Phase};
use ostest_runner::pipeline::stop::Stop;

use crate::support::{PASS, Runner, World, command, eventually};

/// A service manager that records its notifications.
struct ServiceManager {
    socket: UnixDatagram,
    name: String,
    messages: Vec<(Instant, String)>,
}

impl ServiceManager {
    fn at(name: &str, socket: UnixDatagram) -> Self {
        socket.set_nonblocking(true).unwrap();
        Self { socket, name: name.to_owned(), messages: Vec::new() }
    }

    /// Reads all pending notifications; returns all notifications so far.
    fn all(&mut self) -> &[(Instant, String)] {
        let mut bytes = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut bytes) {
            self.messages.push((Instant::now(), String::from_utf8(bytes[..length].to_vec()).unwrap()));
        }
        &self.messages
    }

    fn count(&mut self, of: &str) -> usize {
        self.all().iter().filter(|(_, message)| message.lines().any(|line| line == of)).count()
    }

    fn messages(&mut self) -> Vec<String> {
        self.all().iter().map(|(_, message)| message.clone()).collect()
    }

    /// Waits for a message that contains `text`, skipping the first `after`. Returns its index.
    async fn wait(&mut self, text: &str, after: usize) -> usize {
        let mut found = None;
        eventually(text, || {
            found = self.all().iter().skip(after).position(|(_, message)| message.contains(text));
            found.is_some()
        })
        .await;
        found.unwrap() + after
    }

    /// Forgets all messages so far, listens for `time`, and returns the number of watchdog messages.
    async fn watchdogs(&mut self, time: Duration) -> usize {
        self.all();
        self.messages.clear();
        let end = Instant::now() + time;
        // A full socket (ten datagrams) would block the runner, so read continuously.
        while Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(50)).await;
            self.all();
        }
        self.count("WATCHDOG=1")
    }
}

/// Starts a runner with a service manager on a socket path and further environment variables.
async fn managed(arguments: &[&str], environment: &[(&str, &str)]) -> (World, ServiceManager) {
    let mut world = World::with(Settings::default(), arguments).await;
    let path = world.fresh("notify");
    let path = path.to_str().unwrap();
    let service = ServiceManager::at(path, UnixDatagram::bind(path).unwrap());
    world.restart_with(&[&[("NOTIFY_SOCKET", path)], environment].concat());
    (world, service)
}

/// Submits a task that runs until its gate file exists.
fn submit_gated(world: &World) -> (TaskId, PathBuf) {
    let gate = world.fresh("gate");
    (world.submit(&format!("while [ ! -e {} ]; do sleep 0.05; done; {PASS}", gate.display())), gate)
}

#[tokio::test]
async fn notifies_ready_status_and_stopping() {
    let (mut world, mut service) = managed(&[], &[]).await;
    service.wait("READY=1", 0).await;
    service.wait("STATUS=idle: 0 of 2 slots busy", 0).await;
    assert_eq!(service.messages()[0], "READY=1", "READY=1 is not the first message");
    let (id, gate) = submit_gated(&world);
    let working = service.wait("(execute)", 0).await;
    assert!(
        service.messages()[working].starts_with("STATUS=working: 1 of 2 slots busy: "),
        "{:?}",
        service.messages()
    );
    world.runner.signal(Signal::SIGTERM);
    let stopping = service.wait("STOPPING=1", 0).await;
    assert_eq!(service.messages()[stopping], "STOPPING=1\nEXTEND_TIMEOUT_USEC=60000000");
    service.wait("STATUS=stopping: 1 task to finish: ", stopping).await;
    // The runner extends its time again before the last extension is over.
    service.wait("EXTEND_TIMEOUT_USEC=60000000", stopping + 1).await;
    fs::write(gate, "").unwrap();
    assert_eq!(world.answer(&id).await["isPassed"], true);
    assert!(world.runner.ended(Duration::from_secs(10)).await.success());
    assert_eq!((service.count("STOPPING=1"), service.count("READY=1")), (1, 1));
    assert_eq!(service.count("WATCHDOG=1"), 0, "the runner feeds a watchdog that is off");
}

#[tokio::test]
async fn interrupt_extends_stop_timeout_once() {
    let (mut world, mut service) = managed(&["--grace", "2"], &[]).await;
    let (id, _gate) = submit_gated(&world);
    service.wait("(execute)", 0).await;
    world.runner.signal(Signal::SIGTERM);
    service.wait("STOPPING=1", 0).await;
    world.runner.signal(Signal::SIGTERM);
    service.wait("EXTEND_TIMEOUT_USEC=66000000", 0).await;
    world.answer(&id).await;
    assert!(world.runner.ended(Duration::from_secs(15)).await.success());
}

#[tokio::test]
async fn watchdog_is_fed_when_idle_or_offline() {
    let (mut world, mut service) =
        managed(&["--check-interval", "30"], &[("WATCHDOG_USEC", "1000000")]).await;
    service.wait("WATCHDOG=1", 0).await;
    let idle = service.watchdogs(Duration::from_secs(4)).await;
    // A busy machine may send fewer messages, but not more.
    assert!((3..=9).contains(&idle), "{idle} watchdog messages in 4 s, not 8");
    // The backend is unreachable.
    let folder = world.folder().to_owned();
    world.runner.kill();
    let mut away = command(&folder);
    away.args(["--mock", "--backend-url", "http://127.0.0.1:9", "--check-interval", "1"])
        .arg("--state-dir")
        .arg(folder.join("state"))
        .envs([("NOTIFY_SOCKET", service.name.as_str()), ("WATCHDOG_USEC", "1000000")]);
    world.runner = Runner::spawn(&folder, away);
    service.wait("refused", 0).await;
    let offline = service.watchdogs(Duration::from_secs(4)).await;
    assert!((3..=9).contains(&offline), "{offline} watchdog messages in 4 s, not 8");
    // The runner is stopped by SIGSTOP.
    world.runner.signal(Signal::SIGSTOP);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(service.watchdogs(Duration::from_secs(2)).await, 0);
    world.runner.signal(Signal::SIGCONT);
    assert!(service.watchdogs(Duration::from_secs(3)).await >= 2);
}

#[tokio::test]
async fn stuck_poll_loop_stops_watchdog() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let mut service = ServiceManager::at("", UnixDatagram::bind(&path).unwrap());
    let manager = Manager::at(path.as_os_str(), Some(Duration::from_millis(500))).unwrap();
    let (observe, stop) = (Observe::default(), Stop::default());
    let run = manager.run(&observe, &stop, Duration::ZERO);
    let scenario = async {
        // The loop announces a pause of 1 s. The watchdog allows it 30 s more on a slow machine.
        observe.phase(Phase::Pausing, Some(Duration::from_secs(1)));
        assert!(
            service.watchdogs(Duration::from_secs(28)).await >= 40,
            "the watchdog treats a slow loop as stuck"
        );
        service.watchdogs(Duration::from_secs(4)).await;
        assert_eq!(service.watchdogs(Duration::from_secs(3)).await, 0, "{:?}", service.messages());
        observe.phase(Phase::Full, None);
        assert!(service.watchdogs(Duration::from_secs(2)).await >= 2, "the watchdog is not fed again");
    };
    tokio::select! {
        () = run => unreachable!("the manager loop ended"),
        () = scenario => {}
    }
}

#[tokio::test]
async fn blocked_log_stops_watchdog() {
    let world = World::start().await;
    let path = world.fresh("notify");
    let mut service = ServiceManager::at("", UnixDatagram::bind(&path).unwrap());
    let (mut log, writer) = std::io::pipe().unwrap();
    // The smallest capacity of a pipe.
    nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    let mut line = command(world.folder());
    line.args(["--mock", "--backend-url", &world.backend.url(), "--check-interval", "50ms", "--state-dir"])
        .arg(world.fresh("state"))
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "1000000")
        .stdout(writer);
    let mut stuck = line.spawn().unwrap();
    // `line` holds the write end of the pipe.
    drop(line);
    service.wait("WATCHDOG=1", 0).await;
    drop(world.runner);
    for _ in 0..60 {
        world.backend.submit(mock_backend::NewTask::new("https://example.org/pass.git", "main"));
    }
    let mut watchdogs = 1;
    for _ in 0..10 {
        watchdogs = service.watchdogs(Duration::from_secs(2)).await;
        if watchdogs == 0 {
            break;
        }
    }
    assert_eq!(watchdogs, 0, "the runner feeds the watchdog while its log is blocked");
    let reader = std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    assert!(
        service.watchdogs(Duration::from_secs(3)).await >= 2,
        "the runner does not feed the watchdog after its log is read"
    );
    stuck.kill().unwrap();
    stuck.wait().unwrap();
    reader.join().unwrap().unwrap();
}

#[tokio::test]
async fn notifies_start_and_end_of_reload() {
    let (world, mut service) = managed(&[], &[]).await;
    service.wait("STATUS=idle", 0).await;
    let now = || Duration::from(nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).unwrap());
    let before = now();
    world.runner.signal(Signal::SIGHUP);
    let begins = service.wait("RELOADING=1", 0).await;
    service.wait("READY=1", begins).await;
    let messages = service.messages();
    let micros = messages[begins].strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
    let at = Duration::from_micros(micros.parse().unwrap());
    assert!(before <= at && at <= now(), "{before:?} {at:?}");
    assert!(world.runner.logged("reloaded"));
}

#[tokio::test]
async fn odd_backend_answer_is_not_called_unreachable() {
    let (world, mut service) = managed(&[], &[]).await;
    service.wait("STATUS=idle", 0).await;
    let fault = FaultKind::Redirect("/login".to_owned());
    world.backend.fault(Fault::new(Endpoint::Claim, fault).forever());
    let at = service.wait(" 302", 0).await;
    let status = service.messages()[at].clone();
    assert!(status.starts_with("STATUS=idle") && !status.contains("refused"), "{status}");
    world.backend.go_down().await;
    service.wait("refused", at).await;
}

#[tokio::test]
async fn children_do_not_inherit_notify_socket() {
    let mut world = World::start().await;
    let socket = world.fresh("notify");
    let _heard = UnixDatagram::bind(&socket).unwrap();
    let found = world.fresh("environments");
    let programs = world.fresh("programs");
    fs::create_dir_all(&programs).unwrap();
    // The programs that make the suite's environment inherit most variables. Their first call is enough for this test.
    for name in ["uv", "python3"] {
        let script = format!("#!/bin/sh\n/usr/bin/env >> {}\nexit 1\n", found.display());
        let path = programs.join(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let variables = [
        ("NOTIFY_SOCKET", socket.to_str().unwrap()),
        ("WATCHDOG_USEC", "20000000"),
        ("INHERITED", "unchanged"),
    ];
    let student = world.fresh("student-environment");
    let id = world.submit(&format!("/usr/bin/env > {}; {PASS}", student.display()));
    world.restart_with(&variables);
    world.answer(&id).await;
    let seen = fs::read_to_string(&student).unwrap();
    assert!(
        seen.contains("PATH=") && !seen.contains("NOTIFY_SOCKET") && !seen.contains("WATCHDOG"),
        "{seen}"
    );
    fs::remove_dir_all(world.folder().join("state/environments")).unwrap();
    let path = format!("{}:/usr/bin:/bin", programs.display());
    world.restart_with(&[&variables[..], &[("PATH", &path)]].concat());
    eventually("the runner starts a program that makes the environment", || found.exists()).await;
    eventually("the program has written its environment", || {
        fs::read_to_string(&found).unwrap().contains("INHERITED=unchanged")
    })
    .await;
    let seen = fs::read_to_string(&found).unwrap();
    assert!(!seen.contains("NOTIFY_SOCKET") && !seen.contains("WATCHDOG"), "{seen}");
}

#[tokio::test]
async fn supports_abstract_sockets_and_survives_bad_ones() {
    let name = format!("ostest-notify-{:016x}", fastrand::u64(..));
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let mut service = ServiceManager::at(&name, UnixDatagram::bind_addr(&address).unwrap());
    let mut world = World::start().await;
    world.restart_with(&[("NOTIFY_SOCKET", &format!("@{name}"))]);
    service.wait("READY=1", 0).await;
    service.wait("STATUS=idle", 0).await;
    for address in ["/no/such/socket", "relative", "vsock:2:1234"] {
        world.restart_with(&[("NOTIFY_SOCKET", address), ("WATCHDOG_USEC", "soon")]);
        // Wait, because a claim of the previous runner that is still in flight would lose the task.
        eventually("the suite is ready", || world.runner.logged("suite_ready")).await;
        assert_eq!(world.answer(&world.submit(PASS)).await["isPassed"], true, "{address}");
        let warned =
            world.runner.logged("notify_socket_unusable") || world.runner.logged("watchdog_unusable");
        assert!(warned, "{address}");
    }
}
