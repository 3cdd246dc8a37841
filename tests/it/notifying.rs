//! What a service manager is told, over a real socket of datagrams: readiness, signs of life, reloads, the end.

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

/// The other end: a service manager that keeps what it is told.
struct Heard {
    socket: UnixDatagram,
    name: String,
    messages: Vec<(Instant, String)>,
}

impl Heard {
    fn at(name: &str, socket: UnixDatagram) -> Self {
        socket.set_nonblocking(true).unwrap();
        Self { socket, name: name.to_owned(), messages: Vec::new() }
    }

    /// Takes what has come; all of it so far.
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

    fn words(&mut self) -> Vec<String> {
        self.all().iter().map(|(_, message)| message.clone()).collect()
    }

    /// Waits for a message that holds `text`, behind the first `after`; its place.
    async fn wait(&mut self, text: &str, after: usize) -> usize {
        let mut found = None;
        eventually(text, || {
            found = self.all().iter().skip(after).position(|(_, message)| message.contains(text));
            found.is_some()
        })
        .await;
        found.unwrap() + after
    }

    /// Forgets what came so far, listens for `time`, and says how many signs of life came.
    async fn signs(&mut self, time: Duration) -> usize {
        self.all();
        self.messages.clear();
        let end = Instant::now() + time;
        // Read all the while: a socket holds ten datagrams, and then the runner waits.
        while Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(50)).await;
            self.all();
        }
        self.count("WATCHDOG=1")
    }
}

/// A runner whose manager listens at a path, with these variables besides.
async fn managed(arguments: &[&str], environment: &[(&str, &str)]) -> (World, Heard) {
    let mut world = World::with(Settings::default(), arguments).await;
    let path = world.fresh("notify");
    let path = path.to_str().unwrap();
    let heard = Heard::at(path, UnixDatagram::bind(path).unwrap());
    world.restart_with(&[&[("NOTIFY_SOCKET", path)], environment].concat());
    (world, heard)
}

/// Hands in a task that runs until its gate is there.
fn gated(world: &World) -> (TaskId, PathBuf) {
    let gate = world.fresh("gate");
    (world.submit(&format!("while [ ! -e {} ]; do sleep 0.05; done; {PASS}", gate.display())), gate)
}

#[tokio::test]
async fn notifies_ready_status_and_stopping() {
    let (mut world, mut heard) = managed(&[], &[]).await;
    heard.wait("READY=1", 0).await;
    heard.wait("STATUS=idle: 0 of 2 slots busy", 0).await;
    assert_eq!(heard.words()[0], "READY=1", "nothing comes before it");
    let (id, gate) = gated(&world);
    let working = heard.wait("(execute)", 0).await;
    assert!(heard.words()[working].starts_with("STATUS=working: 1 of 2 slots busy: "), "{:?}", heard.words());
    world.runner.signal(Signal::SIGTERM);
    let stopping = heard.wait("STOPPING=1", 0).await;
    assert_eq!(heard.words()[stopping], "STOPPING=1\nEXTEND_TIMEOUT_USEC=60000000");
    heard.wait("STATUS=stopping: 1 task to finish: ", stopping).await;
    // It asks again before the time is over that it was given, as long as it takes.
    heard.wait("EXTEND_TIMEOUT_USEC=60000000", stopping + 1).await;
    fs::write(gate, "").unwrap();
    assert_eq!(world.answer(&id).await["isPassed"], true);
    assert!(world.runner.ended(Duration::from_secs(10)).await.success());
    assert_eq!((heard.count("STOPPING=1"), heard.count("READY=1")), (1, 1));
    assert_eq!(heard.count("WATCHDOG=1"), 0, "nobody wants signs of life");
}

#[tokio::test]
async fn interrupt_extends_stop_timeout_once() {
    let (mut world, mut heard) = managed(&["--grace", "2"], &[]).await;
    let (id, _gate) = gated(&world);
    heard.wait("(execute)", 0).await;
    world.runner.signal(Signal::SIGTERM);
    heard.wait("STOPPING=1", 0).await;
    world.runner.signal(Signal::SIGTERM);
    heard.wait("EXTEND_TIMEOUT_USEC=66000000", 0).await;
    world.answer(&id).await;
    assert!(world.runner.ended(Duration::from_secs(15)).await.success());
}

#[tokio::test]
async fn watchdog_is_fed_when_idle_or_offline() {
    let (mut world, mut heard) = managed(&["--check-interval", "30"], &[("WATCHDOG_USEC", "1000000")]).await;
    heard.wait("WATCHDOG=1", 0).await;
    let idle = heard.signs(Duration::from_secs(4)).await;
    // A busy machine may be late, but nothing makes them come more often.
    assert!((3..=9).contains(&idle), "{idle} in 4 s, where 8 are due");
    // A backend that is away.
    let folder = world.folder().to_owned();
    world.runner.kill();
    let mut away = command(&folder);
    away.args(["--mock", "--backend-url", "http://127.0.0.1:9", "--check-interval", "1"])
        .arg("--state-dir")
        .arg(folder.join("state"))
        .envs([("NOTIFY_SOCKET", heard.name.as_str()), ("WATCHDOG_USEC", "1000000")]);
    world.runner = Runner::spawn(&folder, away);
    heard.wait("refused", 0).await;
    let without = heard.signs(Duration::from_secs(4)).await;
    assert!((3..=9).contains(&without), "{without} in 4 s, where 8 are due");
    // A runner that is stopped from outside.
    world.runner.signal(Signal::SIGSTOP);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(heard.signs(Duration::from_secs(2)).await, 0);
    world.runner.signal(Signal::SIGCONT);
    assert!(heard.signs(Duration::from_secs(3)).await >= 2);
}

#[tokio::test]
async fn stuck_poll_loop_stops_watchdog() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let mut heard = Heard::at("", UnixDatagram::bind(&path).unwrap());
    let manager = Manager::at(path.as_os_str(), Some(Duration::from_millis(500))).unwrap();
    let (observe, stop) = (Observe::default(), Stop::default());
    let run = manager.run(&observe, &stop, Duration::ZERO);
    let story = async {
        // It may pause for a second, and half a minute more where the machine is slow.
        observe.phase(Phase::Pausing, Some(Duration::from_secs(1)));
        assert!(heard.signs(Duration::from_secs(28)).await >= 40, "a slow one is not stuck");
        heard.signs(Duration::from_secs(4)).await;
        assert_eq!(heard.signs(Duration::from_secs(3)).await, 0, "{:?}", heard.words());
        observe.phase(Phase::Full, None);
        assert!(heard.signs(Duration::from_secs(2)).await >= 2, "it goes on");
    };
    tokio::select! {
        () = run => unreachable!("it never ends"),
        () = story => {}
    }
}

#[tokio::test]
async fn blocked_log_stops_watchdog() {
    let world = World::start().await;
    let path = world.fresh("notify");
    let mut heard = Heard::at("", UnixDatagram::bind(&path).unwrap());
    let (mut log, writer) = std::io::pipe().unwrap();
    // As little as a pipe can hold.
    nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    let mut line = command(world.folder());
    line.args(["--mock", "--backend-url", &world.backend.url(), "--check-interval", "50ms", "--state-dir"])
        .arg(world.fresh("state"))
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "1000000")
        .stdout(writer);
    let mut stuck = line.spawn().unwrap();
    // It holds the pipe's end.
    drop(line);
    heard.wait("WATCHDOG=1", 0).await;
    drop(world.runner);
    for _ in 0..60 {
        world.backend.submit(mock_backend::NewTask::new("https://example.org/pass.git", "main"));
    }
    let mut signs = 1;
    for _ in 0..10 {
        signs = heard.signs(Duration::from_secs(2)).await;
        if signs == 0 {
            break;
        }
    }
    assert_eq!(signs, 0, "it goes on as if somebody read its log");
    let reader = std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    assert!(heard.signs(Duration::from_secs(3)).await >= 2, "it goes on when somebody reads");
    stuck.kill().unwrap();
    stuck.wait().unwrap();
    reader.join().unwrap().unwrap();
}

#[tokio::test]
async fn notifies_start_and_end_of_reload() {
    let (world, mut heard) = managed(&[], &[]).await;
    heard.wait("STATUS=idle", 0).await;
    let now = || Duration::from(nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).unwrap());
    let before = now();
    world.runner.signal(Signal::SIGHUP);
    let begins = heard.wait("RELOADING=1", 0).await;
    heard.wait("READY=1", begins).await;
    let words = heard.words();
    let micros = words[begins].strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
    let at = Duration::from_micros(micros.parse().unwrap());
    assert!(before <= at && at <= now(), "{before:?} {at:?}");
    assert!(world.runner.logged("reloaded"));
}

#[tokio::test]
async fn odd_backend_answer_is_not_called_unreachable() {
    let (world, mut heard) = managed(&[], &[]).await;
    heard.wait("STATUS=idle", 0).await;
    let fault = FaultKind::Redirect("/login".to_owned());
    world.backend.fault(Fault::new(Endpoint::Claim, fault).forever());
    let at = heard.wait(" 302", 0).await;
    let said = heard.words()[at].clone();
    assert!(said.starts_with("STATUS=idle") && !said.contains("refused"), "{said}");
    world.backend.go_down().await;
    heard.wait("refused", at).await;
}

#[tokio::test]
async fn children_do_not_inherit_notify_socket() {
    let mut world = World::start().await;
    let socket = world.fresh("notify");
    let _heard = UnixDatagram::bind(&socket).unwrap();
    let found = world.fresh("environments");
    let programs = world.fresh("programs");
    fs::create_dir_all(&programs).unwrap();
    // What makes the suite's environment is trusted and inherits much; its first call is enough here.
    for name in ["uv", "python3"] {
        let script = format!("#!/bin/sh\n/usr/bin/env >> {}\nexit 1\n", found.display());
        let path = programs.join(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let variables =
        [("NOTIFY_SOCKET", socket.to_str().unwrap()), ("WATCHDOG_USEC", "20000000"), ("KEPT", "as it is")];
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
    eventually("the environment's maker is called", || found.exists()).await;
    eventually("it has an environment", || fs::read_to_string(&found).unwrap().contains("KEPT=as it is"))
        .await;
    let seen = fs::read_to_string(&found).unwrap();
    assert!(!seen.contains("NOTIFY_SOCKET") && !seen.contains("WATCHDOG"), "{seen}");
}

#[tokio::test]
async fn supports_abstract_sockets_and_survives_bad_ones() {
    let name = format!("ostest-notify-{:016x}", fastrand::u64(..));
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let mut heard = Heard::at(&name, UnixDatagram::bind_addr(&address).unwrap());
    let mut world = World::start().await;
    world.restart_with(&[("NOTIFY_SOCKET", &format!("@{name}"))]);
    heard.wait("READY=1", 0).await;
    heard.wait("STATUS=idle", 0).await;
    for nowhere in ["/nobody/listens/here", "relative", "vsock:2:1234"] {
        world.restart_with(&[("NOTIFY_SOCKET", nowhere), ("WATCHDOG_USEC", "soon")]);
        // And no question of the runner before it is under way any more, which would take the task with it.
        eventually("it is ready", || world.runner.logged("suite_ready")).await;
        assert_eq!(world.answer(&world.submit(PASS)).await["isPassed"], true, "{nowhere}");
        let warned =
            world.runner.logged("notify_socket_unusable") || world.runner.logged("watchdog_unusable");
        assert!(warned, "{nowhere}");
    }
}
