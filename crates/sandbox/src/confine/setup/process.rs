//! The setup's process, until it is the program.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{FromRawFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use nix::libc;
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{Pid, setpgid};

use super::super::broker::{self, Side};
use super::super::{Limits, filter, landlock_rules};
use super::drop_rights::{close_all_but, drop_capabilities};
use super::orders::{Orders, READY, SetupError};
use crate::errno::in_context;

/// The runner's first argument that selects this mode; the second is the descriptor of an [`Orders`] as JSON.
pub const MODE: &str = "__confine";

/// Runs the setup. `mode` returns the function of a mode of this binary by its first argument.
pub fn main(descriptor: Option<&str>, mode: impl FnOnce(&str) -> Option<fn() -> ExitCode>) -> ExitCode {
    let Some(orders) = descriptor.and_then(read) else { return ExitCode::FAILURE };
    let (Some(mut status), Some(mut go)) = (take(orders.status), take(orders.go)) else {
        return ExitCode::FAILURE;
    };
    let error = match confine(&orders) {
        Ok(Side::Broker(broker)) => {
            // The program's end of the status pipe closes when it begins; this one must not hold it open.
            drop((status, go));
            return broker.serve();
        }
        Ok(Side::Program) => {
            if go.read_exact(&mut [0]).is_err() {
                return ExitCode::FAILURE;
            }
            status.write_all(&[READY]).ok();
            let own_mode = orders.args.first().filter(|_| orders.is_own_binary).and_then(|word| mode(word));
            if let Some(run) = own_mode {
                drop((status, go));
                return run();
            }
            #[expect(clippy::disallowed_methods, reason = "this does not start a process, it becomes one")]
            Command::new(&orders.program).args(&orders.args).exec()
        }
        Err(error) => error,
    };
    serde_json::to_writer(&status, &SetupError::new(&error)).ok();
    ExitCode::FAILURE
}

fn read(descriptor: &str) -> Option<Orders> {
    let mut text = String::new();
    take(descriptor.parse().ok()?)?.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// Takes a descriptor that was inherited for this process alone.
#[expect(unsafe_code, reason = "the descriptor was made for this process by the one that started it")]
fn take(number: RawFd) -> Option<File> {
    // SAFETY: nothing else in this process knows of the descriptor; a wrong number fails in the call.
    (number > 2 && unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } == 0)
        .then(|| unsafe { File::from_raw_fd(number) })
}

fn confine(orders: &Orders) -> io::Result<Side> {
    let failed = |what: &'static str| move |error: io::Error| in_context(what, &error);
    let trusted = orders.broker.as_ref().map_or(-1, |broker| broker.trusted);
    close_all_but(&[orders.status, orders.go, orders.events.unwrap_or(-1), trusted]);
    // A group of its own, so that it can be interrupted alone. Without bubblewrap it has one already.
    setpgid(Pid::from_raw(0), Pid::from_raw(0)).ok();
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    std::env::set_current_dir(&orders.dir).map_err(failed("the working directory"))?;
    limit(&orders.limits, orders.other_processes).map_err(failed("the limits"))?;
    nix::sys::prctl::set_no_new_privs().map_err(|error| in_context("no-new-privileges", &error.into()))?;
    drop_capabilities();
    if landlock_rules::version() > 0 && !orders.readable.is_empty() {
        landlock_rules::apply(&orders.readable, &orders.writable).map_err(failed("Landlock"))?;
    }
    if orders.broker.is_some() {
        broker::adopt_orphans().map_err(failed("the broker of files"))?;
    }
    filter::apply(orders.allowed).map_err(failed("seccomp"))?;
    // Last: the broker is confined by all of that too.
    let Some(broker) = &orders.broker else { return Ok(Side::Program) };
    let trusted = take(trusted).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput));
    let split = trusted.and_then(|trusted| broker::split(broker, trusted, &orders.writable));
    split.map_err(failed("the broker of files"))
}

/// Sets the resource limits of this process.
fn limit(limits: &Limits, other_processes: u64) -> io::Result<()> {
    let set = |resource, value: Option<u64>| match value {
        // A user may not raise a limit that was lowered before.
        Some(value) => {
            let hard = nix::sys::resource::getrlimit(resource).map_or(value, |(_, hard)| hard.min(value));
            setrlimit(resource, hard, hard)
        }
        None => Ok(()),
    };
    set(Resource::RLIMIT_CORE, Some(0))?;
    set(Resource::RLIMIT_FSIZE, limits.file_size.0)?;
    set(Resource::RLIMIT_NOFILE, limits.nofile.0)?;
    set(Resource::RLIMIT_NPROC, limits.pids.0.map(|max| max.saturating_add(other_processes)))?;
    set(Resource::RLIMIT_CPU, limits.cpu_time.0.map(|time| time.as_secs() + 1))?;
    if limits.memory.0.is_some() {
        // Memory that belongs to no process and would outlive it.
        set(Resource::RLIMIT_MSGQUEUE, Some(800 << 10))?;
        set(Resource::RLIMIT_MEMLOCK, Some(8 << 20))?;
    }
    Ok(())
}
