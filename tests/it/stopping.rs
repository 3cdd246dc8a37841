//! Tests of stopping: the drain, its limit, and the runner as PID 1.

use std::time::Duration;

use mock_backend::{Endpoint, Fault, FaultKind, Settings};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{PASS, World, command, eventually, have, running};

#[tokio::test]
async fn drain_timeout_interrupts_tasks() {
    let mut world = World::with(Settings::default(), &["--drain-timeout", "1"]).await;
    let id = world.submit("sleep 300");
    eventually("the task runs", || world.runner.logged("task_started")).await;
    world.runner.signal(Signal::SIGTERM);
    let answer = world.answer(&id).await;
    assert!(world.fault(&id).ends_with("/interruption"), "{answer}");
    assert!(world.runner.ended(Duration::from_secs(5)).await.success());
    assert!(world.runner.logged("drain_timed_out"));
}

#[tokio::test]
async fn stop_logs_what_is_left() {
    let arguments = ["--drain-timeout", "500ms", "--on-interrupt", "resume"];
    let mut world = World::with(Settings::default(), &arguments).await;
    world.submit("sleep 300");
    eventually("the task runs", || world.runner.logged("task_started")).await;
    stop(&mut world).await;
    assert_eq!(stop_events(&world), [("stopped_with_claims".to_owned(), 1)]);

    let mut world = World::with(Settings::default(), &arguments).await;
    world.backend.fault(Fault::new(Endpoint::Result, FaultKind::status(500)).forever());
    world.submit(PASS);
    eventually("the first delivery failed", || world.runner.logged("delivery_retried")).await;
    stop(&mut world).await;
    assert_eq!(stop_events(&world), [("stopped_with_results".to_owned(), 1)]);

    world.backend.clear_faults();
    world.restart();
    eventually("the result is delivered", || !world.backend.results().is_empty()).await;
    stop(&mut world).await;
    assert_eq!(stop_events(&world), [("stopped_clean".to_owned(), 0)]);
}

/// The events of the runner's end, each with the number of undelivered results.
fn stop_events(world: &World) -> Vec<(String, u64)> {
    let all = ["stopped_clean", "stopped_with_claims", "stopped_with_results", "stopped_with_unspooled"];
    let events = all.iter().flat_map(|name| world.runner.events(name));
    events
        .map(|event| (event["event"].as_str().unwrap().to_owned(), event["left"].as_u64().unwrap_or(0)))
        .collect()
}

async fn stop(world: &mut World) {
    world.runner.signal(Signal::SIGTERM);
    assert!(world.runner.ended(Duration::from_secs(10)).await.success());
}

#[tokio::test]
async fn waits_for_abandoned_commands_before_exit() {
    // The git server accepts the connection and never answers, so the suite is never ready.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("git://127.0.0.1:{}/suite.git", silent.local_addr().unwrap().port());
    let mut world = World::with(Settings::default(), &["--tests-url", &url]).await;
    let children = format!("/proc/{0}/task/{0}/children", world.runner.pid());
    let read = || std::fs::read_to_string(&children).unwrap_or_default();
    // The process is a supervisor only after its exec, so wait for that.
    let begun = |pid: &str| std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let is_one = |pid: &str| String::from_utf8_lossy(&begun(pid)).contains("__supervise");
    eventually("the runner fetches the suite", || is_one(read().trim())).await;
    let supervisor = read().trim().to_owned();
    let signal = |signal| kill(Pid::from_raw(supervisor.parse().unwrap()), signal).unwrap();
    // A running supervisor would end at once.
    signal(Signal::SIGSTOP);
    world.runner.signal(Signal::SIGTERM);
    eventually("the runner logs its stop", || world.runner.logged("stopped_clean")).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(world.runner.is_alive(), "the runner ended before its supervisor");
    signal(Signal::SIGCONT);
    assert!(world.runner.ended(Duration::from_secs(4)).await.success());
    assert!(!runs(&supervisor), "the supervisor {supervisor} still runs after its runner");
}

/// Whether a process exists and is not a zombie.
fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim_start().starts_with('Z'))
}

#[tokio::test]
async fn pid_1_reaps_and_forwards_signals() {
    if !have("unshare", "util-linux") {
        return;
    }
    let world = World::start().await;
    let mark = format!("mark-{}", fastrand::u64(..));
    let mut inside = command(world.folder());
    let program = inside.get_program().to_owned();
    // The runner is PID 1 of a PID namespace with two orphans that it must reap.
    let script = format!(
        "(sleep 0.3 &); (sleep 0.3 &); exec \"$0\" --mock --backend-url {} --state-dir \"$1\"",
        world.backend.url()
    );
    let mut child = unshare(&mut inside, &mark)
        .args(["--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", &script])
        .arg(program)
        .arg(world.fresh("state"))
        .spawn()
        .unwrap();
    eventually("the runner polls", || world.backend.requests().len() > 3).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    let zombies = process_states(&mark).iter().filter(|state| state.as_str() == "Z").count();
    assert_eq!(zombies, 0, "orphans were not reaped");
    let first = first_process(&mark);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(first), Signal::SIGTERM).unwrap();
    let mut status = None;
    eventually("the runner ends", || {
        status = child.try_wait().unwrap();
        status.is_some()
    })
    .await;
    assert!(status.unwrap().success(), "{status:?}");
    assert!(!running(&mark));
}

#[expect(clippy::disallowed_methods, reason = "the tests start the runner as a container does")]
fn unshare(like: &mut std::process::Command, mark: &str) -> std::process::Command {
    let mut command = std::process::Command::new("unshare");
    let variables: Vec<_> =
        like.get_envs().map(|(name, value)| (name.to_owned(), value.unwrap().to_owned())).collect();
    command.env_clear().envs(variables).env("MARK", mark).stdout(std::process::Stdio::null());
    command
}

/// The states of the marked processes and their zombies.
fn process_states(mark: &str) -> Vec<String> {
    let first = first_process(mark);
    let stat = |entry: std::fs::DirEntry| std::fs::read_to_string(entry.path().join("stat")).ok();
    let all = std::fs::read_dir("/proc").unwrap().flatten().filter_map(stat);
    all.filter_map(|stat| {
        let rest = stat.rsplit_once(") ")?.1;
        let mut fields = rest.split(' ');
        let state = fields.next()?.to_owned();
        (fields.next()?.parse() == Ok(first)).then_some(state)
    })
    .collect()
}

/// The process that is PID 1 inside the namespace: the child of `unshare`.
fn first_process(mark: &str) -> i32 {
    let marked = |pid: &i32| {
        let read = |name: &str| std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let inside = String::from_utf8_lossy(&read("status")).lines().any(|line| {
            line.starts_with("NSpid:") && line.split_whitespace().count() == 3 && line.ends_with("\t1")
        });
        inside && String::from_utf8_lossy(&read("environ")).contains(mark)
    };
    let pids = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.into_iter().find(marked).expect("the namespace has no PID 1")
}
