//! The system calls that a confined program may not make.
//!
//! A list of what is denied, not of what is allowed: students' programs use whatever a C library uses. What is denied
//! has no place in a lab: the kernel's less tried interfaces, other namespaces, other processes' memory.

use std::collections::BTreeMap;
use std::io;

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition as Condition,
    SeccompFilter, SeccompRule, apply_filter,
};
use serde::{Deserialize, Serialize};

/// What differs between steps.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a door of its own")]
pub struct Allowed {
    /// IPv4 and IPv6 sockets.
    pub inet: bool,
    /// Looking into other processes: harmless where the other processes are its own.
    pub ptrace: bool,
    /// Memory that is no process's own: counted by a control group, and by nothing else.
    pub hidden_memory: bool,
    /// Named queues, which nobody finds in order to remove them: harmless in an IPC namespace.
    pub queues: bool,
}

/// Denied with "operation not permitted".
const DENIED: &[libc::c_long] = &[
    // Mounts and namespaces.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_fsconfig,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    // The kernel's keys, programs, counters and faults.
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_fanotify_init,
    // The machine itself.
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_quotactl,
    libc::SYS_acct,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    // Files by handle, past all folders.
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
];

/// What would outlive the task and belongs to no process; where the task has a user of its own, it is found by that.
const LASTING: &[libc::c_long] = &[libc::SYS_shmget, libc::SYS_semget, libc::SYS_msgget];

/// Denied where other processes than its own are in sight.
const PRYING: &[libc::c_long] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
];

/// Denied unless it is for the caller itself: with another's limits a program takes the suite's open files away, and the
/// suite then finds no tests to run. With each call the arguments, and what is allowed there.
const LIMITING: &[(libc::c_long, &[(u8, u64)])] = &[(libc::SYS_prlimit64, &[(0, 0)])];

/// Denied too where other processes than its own are in sight: priority, processors. The kind is that of one process;
/// of a user, "itself" is all that the user runs.
const MEDDLING: &[(libc::c_long, &[(u8, u64)])] = &[
    (libc::SYS_sched_setaffinity, &[(0, 0)]),
    (libc::SYS_sched_setscheduler, &[(0, 0)]),
    (libc::SYS_sched_setparam, &[(0, 0)]),
    (libc::SYS_sched_setattr, &[(0, 0)]),
    (libc::SYS_setpriority, &[(0, libc::PRIO_PROCESS as u64), (1, 0)]),
    (libc::SYS_ioprio_set, &[(0, IOPRIO_WHO_PROCESS), (1, 0)]),
];

/// Of `linux/ioprio.h`.
const IOPRIO_WHO_PROCESS: u64 = 1;

/// Denied as if the kernel did not know them: programs then take the older way.
const UNKNOWN: &[libc::c_long] = &[
    // Its flags lie in memory, where a filter cannot look.
    libc::SYS_clone3,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Their number is the whole machine's: one task could take all.
    libc::SYS_io_setup,
    libc::SYS_io_submit,
    libc::SYS_io_getevents,
    libc::SYS_io_destroy,
];

/// New namespaces, as `clone` asks for them.
const NAMESPACES: &[libc::c_int] = &[
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];

/// Denies from here on, to this process and all it starts, for ever.
pub(super) fn apply(allowed: Allowed) -> io::Result<()> {
    for (rules, errno) in [
        (sockets(allowed.inet)?, libc::EAFNOSUPPORT),
        (unknown(), libc::ENOSYS),
        (denied(allowed)?, libc::EPERM),
    ] {
        let program = compile(rules, errno)?;
        apply_filter(&program).map_err(io::Error::other)?;
    }
    Ok(())
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn compile(rules: Rules, errno: libc::c_int) -> io::Result<BpfProgram> {
    let errno = SeccompAction::Errno(errno.unsigned_abs());
    let arch = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, errno, arch).map_err(io::Error::other)?;
    filter.try_into().map_err(io::Error::other)
}

fn denied(allowed: Allowed) -> io::Result<Rules> {
    let mut calls: Vec<libc::c_long> = DENIED.to_vec();
    if !allowed.ptrace {
        calls.extend(PRYING);
    }
    if !allowed.ptrace || !allowed.hidden_memory {
        calls.extend(LASTING);
    }
    if !allowed.hidden_memory {
        calls.extend([libc::SYS_memfd_create, libc::SYS_memfd_secret]);
    }
    if !allowed.queues {
        calls.push(libc::SYS_mq_open);
    }
    let mut rules: Rules = calls.into_iter().map(|call| (call, Vec::new())).collect();
    let meddling = MEDDLING.iter().filter(|_| !allowed.ptrace);
    for &(call, taken) in LIMITING.iter().chain(meddling) {
        let others =
            taken.iter().map(|&(argument, own)| rule(vec![condition(argument, Len::Dword, Op::Ne, own)?]));
        rules.insert(call, others.collect::<io::Result<_>>()?);
    }
    let mut namespaces = Vec::new();
    for &flag in NAMESPACES {
        let flag = u64::from(flag.unsigned_abs());
        namespaces.push(rule(vec![condition(0, Len::Qword, Op::MaskedEq(flag), flag)?])?);
    }
    rules.insert(libc::SYS_clone, namespaces);
    // Words put into the input of a terminal.
    let mut ioctls = Vec::new();
    for request in [libc::TIOCSTI, libc::TIOCLINUX] {
        ioctls.push(rule(vec![condition(1, Len::Dword, Op::Eq, request)?])?);
    }
    rules.insert(libc::SYS_ioctl, ioctls);
    // A lease on a file that its user shares with others, such as one of the suite's environment, has each of them wait
    // for as long as the kernel lets it: the runner itself, and other tasks.
    let leases = u64::from(libc::F_SETLEASE.unsigned_abs());
    rules.insert(libc::SYS_fcntl, vec![rule(vec![condition(1, Len::Dword, Op::Eq, leases)?])?]);
    Ok(rules)
}

fn unknown() -> Rules {
    UNKNOWN.iter().map(|&call| (call, Vec::new())).collect()
}

/// Sockets of all families but these: no vsock, alg, netlink, packet.
fn sockets(inet: bool) -> io::Result<Rules> {
    let mut families = vec![libc::AF_UNIX];
    if inet {
        families.extend([libc::AF_INET, libc::AF_INET6]);
    }
    let mut other = Vec::new();
    for family in families {
        other.push(condition(0, Len::Dword, Op::Ne, u64::from(family.unsigned_abs()))?);
    }
    Ok(Rules::from([(libc::SYS_socket, vec![rule(other)?])]))
}

fn condition(argument: u8, length: Len, operator: Op, value: u64) -> io::Result<Condition> {
    Condition::new(argument, length, operator, value).map_err(io::Error::other)
}

fn rule(conditions: Vec<Condition>) -> io::Result<SeccompRule> {
    SeccompRule::new(conditions).map_err(io::Error::other)
}
