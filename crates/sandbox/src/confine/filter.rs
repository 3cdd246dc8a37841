//! The system calls that a confined program may not make.
//!
//! A list of what is denied, not of what is allowed: students' programs use whatever a C library uses. What is denied
//! has no place in a lab: the kernel's less tried interfaces, other namespaces, other processes' memory.

use std::collections::BTreeMap;
use std::io;

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition as Condition,
    SeccompFilter, SeccompRule, apply_filter, sock_filter,
};
use serde::{Deserialize, Serialize};

/// What differs between steps.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a door of its own")]
pub struct Allowed {
    /// IPv4 and IPv6 sockets.
    pub inet: bool,
    /// What concerns other processes, where those in sight are its own.
    pub alone: bool,
    /// Looking into other processes: harmless there, and where Landlock keeps it to its own.
    pub ptrace: bool,
    /// Memory that is no process's own: counted by a control group, and by nothing else.
    pub hidden_memory: bool,
    /// Extended attributes and flags of files, access lists among them: an owner's, which no broker looks at.
    pub attributes: bool,
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

/// Unknown too where the task's user is the runner's: of these a user has so many, and each task's own supervisor needs one.
const COUNTED: &[libc::c_long] = &[libc::SYS_inotify_init, libc::SYS_inotify_init1];

/// Denied, as if the file system had no such thing, where a broker keeps files as they are.
const ATTRIBUTES: &[libc::c_long] = &[
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    SETXATTRAT,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    REMOVEXATTRAT,
    FILE_SETATTR,
];

/// Of Linux 6.13 and 6.17, the same number on all machines.
const SETXATTRAT: libc::c_long = 463;
/// See [`SETXATTRAT`].
const REMOVEXATTRAT: libc::c_long = 466;
/// See [`SETXATTRAT`].
const FILE_SETATTR: libc::c_long = 469;

/// Requests of `linux/fs.h` that change a file's flags, `FS_IOC_SETFLAGS` and `FS_IOC_FSSETXATTR`, and its version, which an
/// owner may too: `FS_IOC_SETVERSION` and ext4's own.
const FLAGS: &[u64] = &[0x4008_6602, 0x401c_5820, 0x4008_7602, 0x4008_6604];

/// Denied with this bit in this argument: huge pages of the machine's pool, which no limit of a task counts.
const HUGE: &[(libc::c_long, u8, u64)] = &[
    (libc::SYS_mmap, 3, libc::MAP_HUGETLB as u64),
    (libc::SYS_shmget, 2, libc::SHM_HUGETLB as u64),
    (libc::SYS_memfd_create, 1, libc::MFD_HUGETLB as u64),
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
    // And a child that is its parent's sibling: a broker knows forks of those that it trusts by their parent.
    libc::CLONE_PARENT,
];

/// Denies from here on, to this process and all it starts, for ever.
pub(super) fn apply(allowed: Allowed) -> io::Result<()> {
    apply_filter(&other_numbers()).map_err(io::Error::other)?;
    for (rules, errno) in [
        (sockets(allowed.inet)?, libc::EAFNOSUPPORT),
        (unknown(allowed), libc::ENOSYS),
        (attributes(allowed), libc::EOPNOTSUPP),
        (denied(allowed)?, libc::EPERM),
    ] {
        let program = compile(rules, errno)?;
        apply_filter(&program).map_err(io::Error::other)?;
    }
    Ok(())
}

/// The same calls by other numbers, as a second kind of programs has them on this machine: what is said here of one is not
/// said of the other. None is let through.
fn other_numbers() -> BpfProgram {
    /// Where the number lies in `struct seccomp_data`, which is what a filter sees.
    const NUMBER: u32 = 0;
    /// `__X32_SYSCALL_BIT`; no call of any machine's own has as many.
    const OTHERS: u32 = 0x4000_0000;
    let line = |code: u32, jt, jf, k| sock_filter { code: u16::try_from(code).unwrap_or(0), jt, jf, k };
    vec![
        line(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, NUMBER),
        line(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, OTHERS),
        line(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs()),
        line(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
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
    if !allowed.alone || !allowed.hidden_memory {
        calls.extend(LASTING);
    }
    if !allowed.hidden_memory {
        // What was given to a pipe is no process's any more, however large.
        calls.extend([libc::SYS_memfd_create, libc::SYS_memfd_secret, libc::SYS_vmsplice]);
    }
    if !allowed.queues {
        calls.push(libc::SYS_mq_open);
    }
    let mut rules: Rules = calls.into_iter().map(|call| (call, Vec::new())).collect();
    let meddling = MEDDLING.iter().filter(|_| !allowed.alone);
    for &(call, taken) in LIMITING.iter().chain(meddling) {
        let others =
            taken.iter().map(|&(argument, own)| rule(vec![condition(argument, Len::Dword, Op::Ne, own)?]));
        rules.insert(call, others.collect::<io::Result<_>>()?);
    }
    for &(call, argument, bit) in HUGE {
        // A call that is denied whatever it asks for stays so.
        if let std::collections::btree_map::Entry::Vacant(free) = rules.entry(call) {
            free.insert(vec![rule(vec![condition(argument, Len::Dword, Op::MaskedEq(bit), bit)?])?]);
        }
    }
    let mut namespaces = Vec::new();
    for &flag in NAMESPACES {
        let flag = u64::from(flag.unsigned_abs());
        namespaces.push(rule(vec![condition(0, Len::Qword, Op::MaskedEq(flag), flag)?])?);
    }
    rules.insert(libc::SYS_clone, namespaces);
    // Words put into the input of a terminal.
    let mut ioctls = Vec::new();
    let flags = FLAGS.iter().filter(|_| !allowed.attributes);
    for &request in [libc::TIOCSTI, libc::TIOCLINUX].iter().chain(flags) {
        ioctls.push(rule(vec![condition(1, Len::Dword, Op::Eq, request)?])?);
    }
    rules.insert(libc::SYS_ioctl, ioctls);
    if !allowed.attributes {
        // Orphans would become its children.
        let subreaper = u64::from(libc::PR_SET_CHILD_SUBREAPER.unsigned_abs());
        rules.insert(libc::SYS_prctl, vec![rule(vec![condition(0, Len::Dword, Op::Eq, subreaper)?])?]);
    }
    // A lease on a file that its user shares with others, such as one of the suite's environment, has each of them wait
    // for as long as the kernel lets it: the runner itself, and other tasks.
    let leases = u64::from(libc::F_SETLEASE.unsigned_abs());
    rules.insert(libc::SYS_fcntl, vec![rule(vec![condition(1, Len::Dword, Op::Eq, leases)?])?]);
    Ok(rules)
}

fn attributes(allowed: Allowed) -> Rules {
    ATTRIBUTES.iter().filter(|_| !allowed.attributes).map(|&call| (call, Vec::new())).collect()
}

fn unknown(allowed: Allowed) -> Rules {
    let counted = COUNTED.iter().filter(|_| !allowed.alone);
    UNKNOWN.iter().chain(counted).map(|&call| (call, Vec::new())).collect()
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
    let pairs = condition(0, Len::Dword, Op::Ne, u64::from(libc::AF_UNIX.unsigned_abs()))?;
    Ok(Rules::from([
        (libc::SYS_socket, vec![rule(other)?]),
        (libc::SYS_socketpair, vec![rule(vec![pairs])?]),
    ]))
}

pub(super) fn condition(argument: u8, length: Len, operator: Op, value: u64) -> io::Result<Condition> {
    Condition::new(argument, length, operator, value).map_err(io::Error::other)
}

pub(super) fn rule(conditions: Vec<Condition>) -> io::Result<SeccompRule> {
    SeccompRule::new(conditions).map_err(io::Error::other)
}
