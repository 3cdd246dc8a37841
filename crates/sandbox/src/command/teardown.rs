//! Removal of what a command's user left: processes and shared objects that are found by their user, not by their parents.

use std::fs;
use std::os::unix::fs::MetadataExt;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, Uid, fork};

use crate::confine::{Level, Plan};

/// Kills all processes of the user that a command had to itself, and removes what they left in shared folders. With
/// namespaces the kernel has done that, and this does nothing.
#[expect(unsafe_code, reason = "a process of that user's is the one that may signal all of them at a moment")]
pub(super) fn of_user(plan: &Plan) {
    let Some(user) = plan.user.filter(|_| plan.level == Level::Basic) else { return };
    // SAFETY: this process has one thread, and the child makes three system calls and ends.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => {
            let uid = Uid::from_raw(user);
            if nix::unistd::setresuid(uid, uid, uid).is_ok() {
                kill(Pid::from_raw(-1), Signal::SIGKILL).ok();
            }
            // SAFETY: ends this process at once, without running its parent's exit handlers.
            unsafe { nix::libc::_exit(0) }
        }
        // Wait until they are killed: they must not make anything new while it is removed.
        Ok(ForkResult::Parent { child }) => while waitpid(child, None) == Err(nix::errno::Errno::EINTR) {},
        Err(_) => {}
    }
    remove_ipc(user);
    for folder in ["/dev/shm", "/dev/mqueue"] {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.metadata().is_ok_and(|meta| meta.uid() == user) {
                let path = entry.path();
                fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path)).ok();
            }
        }
    }
}

/// Removes System V shared memory, semaphores and queues of `user`: they outlive the processes that made them.
#[expect(unsafe_code, reason = "the calls have no safe form")]
fn remove_ipc(user: u32) {
    for (kind, id) in [("shm", "shmid"), ("sem", "semid"), ("msg", "msqid")] {
        let text = fs::read_to_string(format!("/proc/sysvipc/{kind}")).unwrap_or_default();
        let mut lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let heads = lines.next().unwrap_or_default();
        let column = |name: &str| heads.iter().position(|head| *head == name);
        // The creator's id: the owner's can be changed.
        let (Some(id), Some(owner)) = (column(id), column("cuid")) else { continue };
        for line in lines {
            let number = |column: usize| line.get(column).and_then(|word| word.parse::<i64>().ok());
            let Some(found) = number(id).and_then(|id| i32::try_from(id).ok()) else { continue };
            if number(owner) != Some(i64::from(user)) {
                continue;
            }
            // SAFETY: removal takes a number and no memory.
            unsafe {
                match kind {
                    "shm" => nix::libc::shmctl(found, nix::libc::IPC_RMID, std::ptr::null_mut()),
                    "sem" => nix::libc::semctl(found, 0, nix::libc::IPC_RMID),
                    _ => nix::libc::msgctl(found, nix::libc::IPC_RMID, std::ptr::null_mut()),
                };
            }
        }
    }
}
