//! The second stage: the runner's own binary, started in the sandbox, that takes the last rights away from itself and
//! becomes the step's program. Where that is a mode of the same binary it goes on as it is: to execute itself once more
//! would cost some 2 ms, most of them for the libraries' relocations.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{FromRawFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use nix::libc;
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{Pid, setpgid};
use serde::{Deserialize, Serialize};

use super::broker::{self, Side};
use super::filter::{self, Allowed};
use super::{Limits, rules};

/// The first argument that selects this mode; the second is the descriptor of an [`Orders`] as JSON.
pub const MODE: &str = "__confine";

/// What this stage is to do.
#[derive(Debug, Serialize, Deserialize)]
pub struct Orders {
    /// The step's program and its arguments.
    pub program: String,
    /// Whether the program is this binary itself.
    pub own: bool,
    /// See `program`.
    pub args: Vec<String>,
    /// Its working directory.
    pub dir: PathBuf,
    /// What is set here of the limits.
    pub limits: Limits,
    /// Processes of this user that are not the step's, which the system counts too.
    pub others: u64,
    /// What may be read; empty: not restricted here.
    pub readable: Vec<PathBuf>,
    /// What may be written.
    pub writable: Vec<PathBuf>,
    /// What the filter of system calls lets through.
    pub allowed: Allowed,
    /// What keeps the suite's files as they are, where that takes a process of its own.
    pub broker: Option<broker::Orders>,
    /// A descriptor that the program keeps.
    pub events: Option<RawFd>,
    /// Gets [`READY`] right before the program begins, or what went wrong.
    pub status: RawFd,
    /// Gets a byte when all is there that the program needs; its end means that the program is not wanted any more.
    pub go: RawFd,
}

/// What the status descriptor gets when all is in force.
pub const READY: u8 = b'k';

/// The program of this mode. `mode` knows what this binary can go on with by itself.
pub fn main(descriptor: Option<&str>, mode: impl FnOnce(&str) -> Option<fn() -> ExitCode>) -> ExitCode {
    let Some(orders) = descriptor.and_then(read) else { return ExitCode::FAILURE };
    let (Some(mut status), Some(mut go)) = (take(orders.status), take(orders.go)) else {
        return ExitCode::FAILURE;
    };
    let error = match confine(&orders) {
        Ok(Side::Broker(broker)) => {
            // The end of the one says that the program has begun.
            drop((status, go));
            return broker.serve();
        }
        Ok(Side::Program) => {
            if go.read_exact(&mut [0]).is_err() {
                return ExitCode::FAILURE;
            }
            status.write_all(&[READY]).ok();
            if let Some(go_on) = orders.args.first().filter(|_| orders.own).and_then(|word| mode(word)) {
                drop((status, go));
                return go_on();
            }
            #[expect(clippy::disallowed_methods, reason = "this does not start a process, it becomes one")]
            Command::new(&orders.program).args(&orders.args).exec()
        }
        Err((what, error)) => io::Error::other(format!("{what}: {error}")),
    };
    status.write_all(error.to_string().as_bytes()).ok();
    ExitCode::FAILURE
}

fn read(descriptor: &str) -> Option<Orders> {
    let mut text = String::new();
    take(descriptor.parse().ok()?)?.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// A descriptor that was inherited for this process alone.
#[expect(unsafe_code, reason = "the descriptor was made for this process by the one that started it")]
fn take(number: RawFd) -> Option<File> {
    // SAFETY: nothing else in this process knows of the descriptor; a wrong number fails in the call.
    (number > 2 && unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } == 0)
        .then(|| unsafe { File::from_raw_fd(number) })
}

fn confine(orders: &Orders) -> Result<Side, (&'static str, io::Error)> {
    let trusted = orders.broker.as_ref().map_or(-1, |broker| broker.trusted);
    close_all_but(&[orders.status, orders.go, orders.events.unwrap_or(-1), trusted]);
    // A group of its own, so that it can be interrupted alone. It is one already where nothing lies between.
    setpgid(Pid::from_raw(0), Pid::from_raw(0)).ok();
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    std::env::set_current_dir(&orders.dir).map_err(|error| ("the working directory", error))?;
    limit(&orders.limits, orders.others).map_err(|error| ("the limits", error))?;
    nix::sys::prctl::set_no_new_privs().map_err(|error| ("no-new-privileges", error.into()))?;
    drop_capabilities();
    if rules::version() > 0 && !orders.readable.is_empty() {
        rules::apply(&orders.readable, &orders.writable).map_err(|error| ("Landlock", error))?;
    }
    if orders.broker.is_some() {
        broker::adopt().map_err(|error| ("the broker of files", error))?;
    }
    filter::apply(orders.allowed).map_err(|error| ("seccomp", error))?;
    // Last: it is under all of that too.
    match &orders.broker {
        Some(broker) => {
            let trusted = take(trusted).ok_or_else(|| io::ErrorKind::InvalidInput.into());
            let split = trusted.and_then(|trusted| broker::split(broker, trusted, &orders.writable));
            split.map_err(|error| ("the broker of files", error))
        }
        None => Ok(Side::Program),
    }
}

fn limit(limits: &Limits, others: u64) -> io::Result<()> {
    let set = |resource, value: Option<u64>| match value {
        // A user may not raise what was lowered before him.
        Some(value) => {
            let hard = nix::sys::resource::getrlimit(resource).map_or(value, |(_, hard)| hard.min(value));
            setrlimit(resource, hard, hard)
        }
        None => Ok(()),
    };
    set(Resource::RLIMIT_CORE, Some(0))?;
    set(Resource::RLIMIT_FSIZE, limits.file_size.0)?;
    set(Resource::RLIMIT_NOFILE, limits.nofile.0)?;
    set(Resource::RLIMIT_NPROC, limits.pids.0.map(|most| most.saturating_add(others)))?;
    set(Resource::RLIMIT_CPU, limits.cpu_time.0.map(|time| time.as_secs() + 1))?;
    if limits.memory.0.is_some() {
        // Memory that is no process's own and would outlive it.
        set(Resource::RLIMIT_MSGQUEUE, Some(800 << 10))?;
        set(Resource::RLIMIT_MEMLOCK, Some(8 << 20))?;
    }
    Ok(())
}

/// Closes what was inherited and is not the program's business.
#[expect(unsafe_code, reason = "the call has no safe form")]
pub(super) fn close_all_but(kept: &[RawFd]) {
    let mut first: u32 = 3;
    let mut kept: Vec<u32> =
        kept.iter().filter_map(|&fd| u32::try_from(fd).ok()).filter(|&fd| fd > 2).collect();
    kept.sort_unstable();
    for fd in kept.into_iter().chain([u32::MAX]) {
        if first < fd {
            // SAFETY: of the descriptors in this range nothing is owned by this process.
            unsafe { libc::syscall(libc::SYS_close_range, first, fd - 1, 0u32) };
        }
        first = fd.saturating_add(1);
    }
}

/// Empties what this process and its children could ever get back. Only root can; nobody else needs it, for without new
/// privileges nothing is got back. Makes system calls and allocates nothing.
#[expect(unsafe_code, reason = "the call has no safe form")]
pub fn drop_bounds() {
    for capability in 0..64 {
        // SAFETY: a plain call on a number; one that the kernel does not know is an error.
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
    }
}

/// Root without a user of its own to become: what it may do beyond its files goes.
#[expect(unsafe_code, reason = "the calls have no safe form")]
fn drop_capabilities() {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    // Linux's third version: two sets of three words.
    let header = Header { version: 0x2008_0522, pid: 0 };
    let none = [[0u32; 3]; 2];
    drop_bounds();
    // SAFETY: the numbers are plain, and the two structures have the shape that the version names.
    unsafe {
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr());
    }
}
