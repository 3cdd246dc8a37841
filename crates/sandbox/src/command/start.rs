//! Starts a step's program: as it is, or confined as its plan says.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::SigSet;
use nix::unistd::{Gid, Pid, Uid, geteuid};

use super::{Spec, tree};
use crate::confine::cgroup::{self, Group};
use crate::confine::filter::Allowed;
use crate::confine::stage::{self, Orders};
use crate::confine::{Level, Plan, View, arguments, broker, view};

/// Where bubblewrap is looked for; never in a `PATH` that somebody else may have set.
pub const BWRAP: &str = "/usr/bin/bwrap";

/// How long a confined program may take to begin.
const PATIENCE: u16 = 20_000;

/// A program that runs, or waits in its confinement for [`Started::go`].
pub(super) struct Started {
    /// The child of this process; its end is the step's end.
    pub(super) child: Pid,
    /// What is told of its confinement, and the word for it to go on.
    confined: Option<(PipeReader, PipeWriter)>,
    /// Where its broker hears whom to trust, if it has one.
    pub(super) trusted: Option<PipeWriter>,
    level: Level,
}

impl Started {
    /// Lets it begin, and returns when it has: with the leader of its group, where signals go. The end of `control`, the
    /// runner's, ends the waiting.
    pub(super) fn go(&mut self, control: &impl AsFd) -> Result<Pid, Failure> {
        let Some((mut heard, mut word)) = self.confined.take() else { return Ok(self.child) };
        // One that has ended is found out in the next line.
        word.write_all(b"g").ok();
        wait_ready(&mut heard, control, self.level)?;
        let inner = if self.level == Level::Bwrap {
            // bubblewrap, its first process within, the program.
            tree::first_child(self.child).and_then(tree::first_child)
        } else {
            Some(self.child)
        };
        let brokered = self.trusted.is_some();
        // A broker is its parent.
        let program = inner.and_then(|inner| if brokered { tree::first_child(inner) } else { Some(inner) });
        Ok(program.unwrap_or(self.child))
    }
}

/// Why it does not run.
pub(super) enum Failure {
    /// The program could not be executed.
    Program(io::Error),
    /// Its confinement could not be made.
    Sandbox(io::Error),
}

/// Starts `spec`; `events` is the program's end of the channel. Where it is confined, it waits when that is done.
pub(super) fn start(
    spec: &Spec,
    group: Option<&Group>,
    events: Option<&OwnedFd>,
) -> Result<Started, Failure> {
    let plan = &spec.plan;
    if plan.level == Level::None {
        let mut command = plain(spec);
        environment(&mut command, spec, events);
        let child = spawn(spec, command, group, events.map(AsRawFd::as_raw_fd), None);
        let child = child.map_err(|error| {
            // The system's word does not tell a missing program from a missing folder.
            let folder = spec.dir.is_dir();
            Failure::Program(if folder {
                error
            } else {
                io::Error::other(format!("no folder {}", spec.dir.display()))
            })
        })?;
        return Ok(Started { child, confined: None, trusted: None, level: plan.level });
    }
    confined(spec, plan, group, events)
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that starts a step's program")]
fn plain(spec: &Spec) -> Command {
    let mut command = Command::new(&spec.program);
    command.args(&spec.args).current_dir(&spec.dir);
    command
}

fn environment(command: &mut Command, spec: &Spec, events: Option<&OwnedFd>) {
    command.env_clear().envs(spec.env.iter().map(|(name, value)| (name, value)));
    if let Some(events) = events {
        command.env("OSTEST_EVENTS", events.as_raw_fd().to_string());
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that starts a step's program")]
fn confined(
    spec: &Spec,
    plan: &Plan,
    group: Option<&Group>,
    events: Option<&OwnedFd>,
) -> Result<Started, Failure> {
    let sandbox = Failure::Sandbox;
    let own = File::open("/proc/self/exe").map_err(sandbox)?;
    let (heard, status) = std::io::pipe().map_err(sandbox)?;
    let (go, word) = std::io::pipe().map_err(sandbox)?;
    let trusted = plan.brokered.then(word_of_trust).transpose().map_err(sandbox)?;
    let suite = if let View::Suite(view) = &plan.view { Some(&view.suite) } else { None };
    let broker = suite
        .zip(trusted.as_ref())
        .map(|(suite, (hears, _))| broker::Orders { suite: suite.clone(), trusted: hears.as_raw_fd() });
    let orders = Orders {
        program: spec.program.clone(),
        own: is_own(&spec.program),
        args: spec.args.clone(),
        dir: spec.dir.clone(),
        limits: plan.limits,
        others: others(plan),
        readable: Vec::new(),
        writable: Vec::new(),
        allowed: Allowed {
            inet: true,
            alone: true,
            ptrace: true,
            hidden_memory: true,
            attributes: true,
            queues: true,
        },
        broker,
        events: events.map(AsRawFd::as_raw_fd),
        status: status.as_raw_fd(),
        go: go.as_raw_fd(),
    };
    let orders = memory_file(
        &serde_json::to_vec(&view::orders(plan, orders)).map_err(io::Error::other).map_err(sandbox)?,
    );
    let orders = orders.map_err(sandbox)?;
    let mut command = if plan.level == Level::Bwrap {
        let mut command = Command::new(BWRAP);
        command.args(arguments::of(plan, &spec.dir, own.as_raw_fd(), orders.as_raw_fd()));
        command
    } else {
        let mut command = Command::new("/proc/self/exe");
        command.arg(stage::MODE).arg(orders.as_raw_fd().to_string());
        command
    };
    environment(&mut command, spec, events);
    command.current_dir("/");
    let kept = [
        Some(own.as_raw_fd()),
        Some(orders.as_raw_fd()),
        Some(status.as_raw_fd()),
        Some(go.as_raw_fd()),
        events.map(AsRawFd::as_raw_fd),
        trusted.as_ref().map(|(hears, _)| hears.as_raw_fd()),
    ];
    let kept: Vec<RawFd> = kept.into_iter().flatten().collect();
    let child = spawn(spec, command, group, kept, plan.user).map_err(sandbox)?;
    let trusted = trusted.map(|(_, names)| names);
    Ok(Started { child, confined: Some((heard, word)), trusted, level: plan.level })
}

/// The pipe on which a broker hears whom to trust.
fn word_of_trust() -> io::Result<(PipeReader, PipeWriter)> {
    let (hears, names) = std::io::pipe()?;
    // One that is stopped holds nobody up.
    nix::fcntl::fcntl(&names, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK))?;
    Ok((hears, names))
}

/// Whether `program` is the binary that runs here.
fn is_own(program: &str) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |path: &str| std::fs::metadata(path).map(|meta| (meta.dev(), meta.ino()));
    matches!((identity(program), identity("/proc/self/exe")), (Ok(given), Ok(own)) if given == own)
}

#[expect(unsafe_code, reason = "what a child must do to itself before it is another program")]
fn spawn(
    spec: &Spec,
    mut command: Command,
    group: Option<&Group>,
    kept: impl IntoIterator<Item = RawFd>,
    user: Option<u32>,
) -> io::Result<Pid> {
    let doors = group.map(Group::doors).transpose()?.unwrap_or_default();
    let kept: Vec<RawFd> = kept.into_iter().collect();
    // A group of its own, so that it can be interrupted without the supervisor.
    command.stdin(stdin_of(spec)?).process_group(0);
    let prepare = move || {
        SigSet::empty().thread_set_mask()?;
        for door in &doors {
            cgroup::join(door)?;
        }
        for &fd in &kept {
            // SAFETY: a plain call on a number; a wrong one is an error.
            if unsafe { libc::fcntl(fd, libc::F_SETFD, 0) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        if let Some(user) = user {
            // While it still can.
            stage::drop_bounds();
            nix::unistd::setgroups(&[])?;
            nix::unistd::setresgid(Gid::from_raw(user), Gid::from_raw(user), Gid::from_raw(user))?;
            nix::unistd::setresuid(Uid::from_raw(user), Uid::from_raw(user), Uid::from_raw(user))?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec this makes system calls and allocates nothing.
    unsafe { command.pre_exec(prepare) };
    let child = command.spawn()?;
    Ok(Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?))
}

/// Waits until the last stage says that all is in force and the program has begun.
fn wait_ready(heard: &mut PipeReader, control: &impl AsFd, level: Level) -> Result<(), Failure> {
    let mut said = Vec::new();
    loop {
        let mut fds =
            [PollFd::new(heard.as_fd(), PollFlags::POLLIN), PollFd::new(control.as_fd(), PollFlags::empty())];
        match poll(&mut fds, PollTimeout::from(PATIENCE)) {
            Ok(0) => return Err(Failure::Sandbox(io::Error::other("it was not ready in time"))),
            Err(nix::errno::Errno::EINTR) => continue,
            Err(error) => return Err(Failure::Sandbox(error.into())),
            Ok(_) => {}
        }
        if !fds[0].any().unwrap_or(false) {
            return Err(Failure::Sandbox(io::Error::other("the runner is gone")));
        }
        let mut bytes = [0; 512];
        match heard.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => said.extend_from_slice(&bytes[..count]),
            Err(error) => return Err(Failure::Sandbox(error)),
        }
    }
    let words = |bytes: &[u8]| io::Error::other(String::from_utf8_lossy(bytes).into_owned());
    match said.split_first() {
        Some((&stage::READY, [])) => Ok(()),
        Some((&stage::READY, why)) => Err(Failure::Program(words(why))),
        Some(_) => Err(Failure::Sandbox(words(&said))),
        None if level == Level::Bwrap => Err(Failure::Sandbox(io::Error::other("bubblewrap did not begin"))),
        None => Err(Failure::Sandbox(io::Error::other("the last stage did not begin"))),
    }
}

fn stdin_of(spec: &Spec) -> io::Result<Stdio> {
    if spec.stdin.is_empty() {
        Ok(Stdio::null())
    } else {
        memory_file(spec.stdin.as_bytes()).map(Stdio::from)
    }
}

fn memory_file(content: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create(c"ostest", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(content)?;
    file.rewind()?;
    Ok(file.into())
}

/// Processes of the sandbox itself around the program: bubblewrap, and its first process within; the broker.
pub(super) fn own_processes(plan: &Plan) -> u64 {
    let around = if plan.level == Level::Bwrap { 2 } else { 0 };
    around + u64::from(plan.brokered)
}

/// What is added to the user's own limit of processes, of which nobody is told when it is met.
fn others(plan: &Plan) -> u64 {
    let others = if plan.level == Level::Basic && plan.user.is_none() { processes_of_user() } else { 0 };
    // A control group tells, and is to be met first.
    let counted = plan.group.as_ref().is_some_and(|(groups, _)| groups.count_processes());
    others + u64::from(plan.brokered) + if counted { 16 } else { 0 }
}

/// The system counts all processes of a user against the limit of each.
fn processes_of_user() -> u64 {
    use std::os::unix::fs::MetadataExt;
    let own = geteuid().as_raw();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids =
        entries.filter(|entry| entry.file_name().to_str().is_some_and(|name| name.parse::<u32>().is_ok()));
    let threads = pids
        .filter(|entry| entry.metadata().is_ok_and(|meta| meta.uid() == own))
        .map(|entry| std::fs::read_dir(entry.path().join("task")).map_or(1, |tasks| tasks.count() as u64));
    threads.sum()
}
