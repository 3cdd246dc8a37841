//! The system calls that the kernel hands over to the broker.

use nix::libc;

/// The calls that the kernel hands over.
pub(super) const HANDED_OVER: &[libc::c_long] = &[
    libc::SYS_chmod,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchmodat2,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
    libc::SYS_utimensat,
    libc::SYS_unlink,
    libc::SYS_unlinkat,
    libc::SYS_rmdir,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_renameat2,
];

/// The call by which a process hides its memory from others, and its first arguments.
pub(super) const HIDING: (libc::c_long, [u64; 2]) = (libc::SYS_prctl, [libc::PR_SET_DUMPABLE as u64, 0]);
