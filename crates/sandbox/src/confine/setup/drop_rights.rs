//! Rights that a process takes away from itself: descriptors and capabilities.

use std::os::fd::RawFd;

use nix::libc;

/// Closes all descriptors above 2 except for `kept`.
#[expect(unsafe_code, reason = "the call has no safe form")]
pub(in super::super) fn close_all_but(kept: &[RawFd]) {
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

/// Empties the set of capabilities that this process and its children could ever get back. Only root can do that, and only
/// root needs it: nobody else gets capabilities back without new privileges. Makes system calls and allocates nothing.
#[expect(unsafe_code, reason = "the call has no safe form")]
pub fn drop_bounds() {
    for capability in 0..64 {
        // SAFETY: a plain call on a number; one that the kernel does not know is an error.
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
    }
}

/// Drops all capabilities, for root that has no other user to become.
#[expect(unsafe_code, reason = "the calls have no safe form")]
pub(super) fn drop_capabilities() {
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
