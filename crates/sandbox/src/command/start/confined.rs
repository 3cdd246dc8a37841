//! Start of a confined program: bubblewrap where the plan requires it, then the setup, which becomes the program.

use std::fs::{self, File};
use std::io::{self, PipeReader};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use nix::unistd::geteuid;

use super::super::spec::{BWRAP, Spec};
use super::descriptors::{memory_file, trust_pipe};
use super::spawn::{set_environment, spawn};
use super::started::Started;
use crate::confine::cgroup::Group;
use crate::confine::filter::Allowed;
use crate::confine::setup::{self, Orders};
use crate::confine::{Level, Plan, View, arguments, broker, view};

/// Processes that a control group allows on top of a user's own limit, so that the group's limit is hit first: a control
/// group reports that, a user's limit does not.
const GROUP_FIRST: u64 = 16;

/// Starts `spec` in its confinement, where it waits for [`Started::go`].
pub(super) fn start(spec: &Spec, group: Option<&Group>, events: Option<&OwnedFd>) -> io::Result<Started> {
    let plan = &spec.plan;
    let exe = File::open("/proc/self/exe")?;
    let (status_reader, status) = io::pipe()?;
    let (go, go_writer) = io::pipe()?;
    let trusted = plan.brokered.then(trust_pipe).transpose()?;
    let orders = Orders {
        program: spec.program.clone(),
        is_own_binary: is_own_binary(&spec.program),
        args: spec.args.clone(),
        dir: spec.dir.clone(),
        limits: plan.limits,
        other_processes: other_processes(plan),
        readable: Vec::new(),
        writable: Vec::new(),
        allowed: Allowed::all(),
        broker: broker_orders(plan, trusted.as_ref().map(|(reader, _)| reader)),
        events: events.map(AsRawFd::as_raw_fd),
        status: status.as_raw_fd(),
        go: go.as_raw_fd(),
    };
    let orders = serde_json::to_vec(&view::orders(plan, orders)).map_err(io::Error::other)?;
    let orders = memory_file(&orders)?;
    let mut command = command(spec, exe.as_raw_fd(), orders.as_raw_fd());
    set_environment(&mut command, spec, events);
    let inherited = [
        Some(exe.as_raw_fd()),
        Some(orders.as_raw_fd()),
        Some(status.as_raw_fd()),
        Some(go.as_raw_fd()),
        events.map(AsRawFd::as_raw_fd),
        trusted.as_ref().map(|(reader, _)| reader.as_raw_fd()),
    ];
    let inherited: Vec<RawFd> = inherited.into_iter().flatten().collect();
    let child = spawn(spec, command, group, inherited, plan.user)?;
    let trusted = trusted.map(|(_, writer)| writer);
    Ok(Started { child, confined: Some((status_reader, go_writer)), trusted, level: plan.level })
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that starts a command's program")]
fn command(spec: &Spec, exe: RawFd, orders: RawFd) -> Command {
    let mut command = if spec.plan.level == Level::Bwrap {
        let mut command = Command::new(BWRAP);
        command.args(arguments::of(&spec.plan, &spec.dir, exe, orders));
        command
    } else {
        let mut command = Command::new("/proc/self/exe");
        command.arg(setup::MODE).arg(orders.to_string());
        command
    };
    command.current_dir("/");
    command
}

fn broker_orders(plan: &Plan, trusted: Option<&PipeReader>) -> Option<broker::Orders> {
    let View::Suite(view) = &plan.view else { return None };
    let trusted = trusted?.as_raw_fd();
    Some(broker::Orders { suite: view.suite.clone(), trusted })
}

/// Returns whether `program` is the binary that runs here.
fn is_own_binary(program: &str) -> bool {
    let identity = |path: &str| fs::metadata(path).map(|meta| (meta.dev(), meta.ino()));
    matches!((identity(program), identity("/proc/self/exe")), (Ok(given), Ok(own)) if given == own)
}

/// Returns the number of processes of the sandbox itself around the program: bubblewrap and its first process inside; the
/// broker.
pub(in super::super) fn sandbox_processes(plan: &Plan) -> u64 {
    let bubblewrap = if plan.level == Level::Bwrap { 2 } else { 0 };
    bubblewrap + u64::from(plan.brokered)
}

/// Returns how many processes the user's limit must allow besides the task's own.
fn other_processes(plan: &Plan) -> u64 {
    let others = if plan.level == Level::Basic && plan.user.is_none() { processes_of_user() } else { 0 };
    let counted = plan.group.as_ref().is_some_and(|(groups, _)| groups.count_processes());
    others + u64::from(plan.brokered) + if counted { GROUP_FIRST } else { 0 }
}

/// Returns the number of threads of this user: the system counts all of them against the limit of each process.
fn processes_of_user() -> u64 {
    let user = geteuid().as_raw();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids =
        entries.filter(|entry| entry.file_name().to_str().is_some_and(|name| name.parse::<u32>().is_ok()));
    let threads = pids
        .filter(|entry| entry.metadata().is_ok_and(|meta| meta.uid() == user))
        .map(|entry| fs::read_dir(entry.path().join("task")).map_or(1, |tasks| tasks.count() as u64));
    threads.sum()
}
