//! System calls that a confined program may not make.
//!
//! This is a list of denied calls, not of allowed ones: students' programs use whatever a C library uses. Denied are the
//! kernel's less tested interfaces, other namespaces and other processes' memory.

use std::collections::BTreeMap;
use std::io;

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition as Condition,
    SeccompFilter, SeccompRule, apply_filter, sock_filter,
};
use serde::{Deserialize, Serialize};

/// Groups of system calls that are allowed to some commands only.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a door of its own")]
pub struct Allowed {
    /// IPv4 and IPv6 sockets.
    pub inet: bool,
    /// Calls that concern other processes: allowed if the program sees its own processes only.
    pub alone: bool,
    /// Calls that inspect other processes: allowed there, and where Landlock restricts them to the program's own.
    pub ptrace: bool,
    /// Memory that belongs to no process: allowed if a control group counts it.
    pub hidden_memory: bool,
    /// Extended attributes, access lists and flags of files: denied with a broker, which does not handle them.
    pub attributes: bool,
    /// Named message queues: allowed in an IPC namespace, since they cannot be found and removed otherwise.
    pub queues: bool,
}

impl Allowed {
    /// Allows all groups.
    pub fn all() -> Self {
        Self { inet: true, alone: true, ptrace: true, hidden_memory: true, attributes: true, queues: true }
    }
}

/// Denied with `EPERM` (operation not permitted).
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
    // The machine.
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
    // Access to files by handle, which passes by all folders.
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
];

/// Objects that outlive the task and belong to no process. If the task has a user of its own, they are found by the user.
const LASTING: &[libc::c_long] = &[libc::SYS_shmget, libc::SYS_semget, libc::SYS_msgget];

/// Denied if the program sees other processes than its own.
const INSPECTING: &[libc::c_long] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
];

/// Denied unless the call is about the caller itself: by lowering the suite's limit of open files a program can make the
/// suite find no tests to run. Each call is followed by its arguments and the value that is allowed for each.
const LIMITING: &[(libc::c_long, &[(u8, u64)])] = &[(libc::SYS_prlimit64, &[(0, 0)])];

/// Denied in the same way if the program sees other processes than its own: priority, processors. Only the kind "one
/// process" is allowed: for a user, the caller "itself" means all processes of the user.
const SCHEDULING: &[(libc::c_long, &[(u8, u64)])] = &[
    (libc::SYS_sched_setaffinity, &[(0, 0)]),
    (libc::SYS_sched_setscheduler, &[(0, 0)]),
    (libc::SYS_sched_setparam, &[(0, 0)]),
    (libc::SYS_sched_setattr, &[(0, 0)]),
    (libc::SYS_setpriority, &[(0, libc::PRIO_PROCESS as u64), (1, 0)]),
    (libc::SYS_ioprio_set, &[(0, IOPRIO_WHO_PROCESS), (1, 0)]),
];

/// From `linux/ioprio.h`.
const IOPRIO_WHO_PROCESS: u64 = 1;

/// Denied with `ENOSYS`, as if the kernel did not know them: programs then use older calls.
const UNKNOWN: &[libc::c_long] = &[
    // Its flags are in memory, which a filter cannot read.
    libc::SYS_clone3,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Their number is limited for the whole machine: one task could use all of them.
    libc::SYS_io_setup,
    libc::SYS_io_submit,
    libc::SYS_io_getevents,
    libc::SYS_io_destroy,
];

/// Unknown as well if the task runs as the runner's user: their number is limited for a user, and each supervisor needs one.
const COUNTED: &[libc::c_long] = &[libc::SYS_inotify_init, libc::SYS_inotify_init1];

/// Denied with `EOPNOTSUPP`, as if the file system did not support them, if a broker protects files.
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

/// From Linux 6.13 and 6.17; the same number on all architectures.
const SETXATTRAT: libc::c_long = 463;
/// See [`SETXATTRAT`].
const REMOVEXATTRAT: libc::c_long = 466;
/// See [`SETXATTRAT`].
const FILE_SETATTR: libc::c_long = 469;

/// Requests from `linux/fs.h` by which an owner changes a file's flags, `FS_IOC_SETFLAGS` and `FS_IOC_FSSETXATTR`, and its
/// version, `FS_IOC_SETVERSION` and ext4's own.
const FLAGS: &[u64] = &[0x4008_6602, 0x401c_5820, 0x4008_7602, 0x4008_6604];

/// Denied with this bit in this argument: huge pages of the machine's pool, which count for no limit of a task.
const HUGE: &[(libc::c_long, u8, u64)] = &[
    (libc::SYS_mmap, 3, libc::MAP_HUGETLB as u64),
    (libc::SYS_shmget, 2, libc::SHM_HUGETLB as u64),
    (libc::SYS_memfd_create, 1, libc::MFD_HUGETLB as u64),
];

/// Flags of `clone` that are denied: new namespaces.
const NAMESPACES: &[libc::c_int] = &[
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
    // A child that is its parent's sibling: a broker recognizes forks of trusted processes by their parent.
    libc::CLONE_PARENT,
];

/// Applies the filter to this process and to everything that it starts. It cannot be removed.
pub(super) fn apply(allowed: Allowed) -> io::Result<()> {
    apply_filter(&other_abi()).map_err(io::Error::other)?;
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

/// Denies all calls of the x32 ABI: it has other numbers for the same calls, which the other filters do not list.
fn other_abi() -> BpfProgram {
    /// Offset of the call's number in `struct seccomp_data`, which a filter reads.
    const NUMBER: u32 = 0;
    /// `__X32_SYSCALL_BIT`; the native calls have lower numbers on every architecture.
    const X32: u32 = 0x4000_0000;
    let line = |code: u32, jt, jf, k| sock_filter { code: u16::try_from(code).unwrap_or(0), jt, jf, k };
    vec![
        line(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, NUMBER),
        line(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, X32),
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
        calls.extend(INSPECTING);
    }
    if !allowed.alone || !allowed.hidden_memory {
        calls.extend(LASTING);
    }
    if !allowed.hidden_memory {
        // Pages that were given to a pipe belong to no process.
        calls.extend([libc::SYS_memfd_create, libc::SYS_memfd_secret, libc::SYS_vmsplice]);
    }
    if !allowed.queues {
        calls.push(libc::SYS_mq_open);
    }
    let mut rules: Rules = calls.into_iter().map(|call| (call, Vec::new())).collect();
    let scheduling = SCHEDULING.iter().filter(|_| !allowed.alone);
    for &(call, taken) in LIMITING.iter().chain(scheduling) {
        let others =
            taken.iter().map(|&(argument, own)| rule(vec![condition(argument, Len::Dword, Op::Ne, own)?]));
        rules.insert(call, others.collect::<io::Result<_>>()?);
    }
    for &(call, argument, bit) in HUGE {
        // A call that is denied with any argument stays denied.
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
    // Requests that put characters into the input of a terminal.
    let mut ioctls = Vec::new();
    let flags = FLAGS.iter().filter(|_| !allowed.attributes);
    for &request in [libc::TIOCSTI, libc::TIOCLINUX].iter().chain(flags) {
        ioctls.push(rule(vec![condition(1, Len::Dword, Op::Eq, request)?])?);
    }
    rules.insert(libc::SYS_ioctl, ioctls);
    if !allowed.attributes {
        // A subreaper: orphans would become its children, not the broker's.
        let subreaper = u64::from(libc::PR_SET_CHILD_SUBREAPER.unsigned_abs());
        rules.insert(libc::SYS_prctl, vec![rule(vec![condition(0, Len::Dword, Op::Eq, subreaper)?])?]);
    }
    // A lease on a file that tasks of the same user share, such as one of the suite's environment, delays the runner and
    // other tasks when they open it.
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

/// Denies sockets of all families but these: no vsock, alg, netlink, packet.
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
