//! The command that mends a failure of the system itself: a limit of this process, or a full or read-only disk.

use std::borrow::Cow;
use std::path::Path;

use nix::errno::Errno;
use nix::libc::RLIM_INFINITY;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::Signal;
use sandbox::confine::{TrialError, TrialErrorKind};

/// Raises the limit of open files.
const OPEN_FILES: &str = "ulimit -n 1024, or LimitNOFILE=1024 in the systemd unit";

/// Raises the limit of one file's size.
pub(super) const FILE_SIZE: &str = "ulimit -f unlimited, or LimitFSIZE=infinity in the systemd unit";

/// The place in which an operation failed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place<'a> {
    /// The folder that the runners of a host share.
    Shared,
    /// A folder of the runner.
    Folder(&'a Path),
}

/// Returns the command that mends the first of `trials` that failed for a limit or a disk; they took place in `folder`.
pub(super) fn mend_trials(trials: &[TrialError], folder: &Path) -> Option<String> {
    trials.iter().find_map(|trial| match trial.kind {
        TrialErrorKind::Shell { signal: Some(signal) } => mend_signal(signal),
        TrialErrorKind::SharedFolder => mend(trial.errno?, Place::Shared),
        _ => mend(trial.errno?, Place::Folder(folder)),
    })
}

/// Returns the command that mends what a message says: a failure in `folder` of another program, which sends no error number
/// but its text.
pub(super) fn mend_message(message: &str, folder: &Path) -> Option<String> {
    if message.contains("SIGXFSZ") {
        return mend_signal(Signal::SIGXFSZ as i32);
    }
    numbers(message).find_map(|number| mend(Errno::from_raw(number), Place::Folder(folder)))
}

/// Returns the command that mends the death of a process by `signal`.
fn mend_signal(signal: i32) -> Option<String> {
    (signal == Signal::SIGXFSZ as i32).then(|| FILE_SIZE.to_owned())
}

/// Returns the command that mends `errno`, if it is about a limit or a disk.
pub(super) fn mend(errno: Errno, place: Place<'_>) -> Option<String> {
    let is_limited = |limit| getrlimit(limit).is_ok_and(|(soft, _)| soft != RLIM_INFINITY);
    Some(match errno {
        Errno::EMFILE => OPEN_FILES.to_owned(),
        Errno::ENFILE => "sysctl -w fs.file-max=1000000".to_owned(),
        Errno::EFBIG => FILE_SIZE.to_owned(),
        // A process that exceeds the limit of file size is killed before it can report that.
        Errno::ECONNRESET | Errno::EPIPE if is_limited(Resource::RLIMIT_FSIZE) => FILE_SIZE.to_owned(),
        Errno::EAGAIN => "ulimit -u 4096, or LimitNPROC=4096 in the systemd unit".to_owned(),
        Errno::EROFS => match place {
            Place::Shared => {
                "mount -o remount,rw /tmp (or /run, /var/tmp: one of them holds what runners share)"
                    .to_owned()
            }
            Place::Folder(folder) => format!("{}, or give another --state-dir", remount(folder)),
        },
        Errno::ENOSPC | Errno::EDQUOT => match place {
            Place::Shared => "df -h /run /var/tmp /tmp; make room in one of them".to_owned(),
            Place::Folder(folder) => {
                let folder = quoted(folder);
                format!("df -h {folder}; df -i {folder}; make room there, or give another --state-dir")
            }
        },
        _ => return None,
    })
}

/// Makes the file system writable that `folder` is on.
pub(super) fn remount(folder: &Path) -> String {
    format!("mount -o remount,rw \"$(findmnt -no TARGET -T {})\"", quoted(folder))
}

/// Quotes a path for a shell.
pub(super) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    shlex::try_quote(&text).map_or_else(|_| text.clone(), Cow::into_owned)
}

/// Returns the error numbers in a message, as `std::io::Error` writes them.
fn numbers(message: &str) -> impl Iterator<Item = i32> {
    message.split("(os error ").skip(1).filter_map(|rest| rest.split(')').next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mends_limits_and_disks() {
        let work = Place::Folder(Path::new("/s/work"));
        for (errno, place, expected) in [
            (Errno::EMFILE, work, "ulimit -n 1024"),
            (Errno::EFBIG, work, "ulimit -f unlimited"),
            (Errno::EROFS, work, "mount -o remount,rw \"$(findmnt -no TARGET -T /s/work)\""),
            (Errno::EROFS, Place::Shared, "mount -o remount,rw /tmp (or /run"),
            (Errno::ENOSPC, work, "df -h /s/work; df -i /s/work; make room"),
            (Errno::ENOSPC, Place::Shared, "df -h /run /var/tmp /tmp"),
            (Errno::EDQUOT, work, "df -h /s/work;"),
            (Errno::EAGAIN, work, "ulimit -u 4096"),
        ] {
            let mend = mend(errno, place).unwrap();
            assert!(mend.starts_with(expected), "{errno}: {mend}");
        }
        let blank = mend(Errno::ENOSPC, Place::Folder(Path::new("/my state"))).unwrap();
        assert!(blank.starts_with("df -h '/my state'; df -i '/my state';"), "{blank}");
        assert_eq!(mend(Errno::EACCES, work), None);
    }

    #[test]
    fn mends_by_a_programs_message() {
        let work = Path::new("/s/work");
        let killed = mend_message("git broke (signal 25 (SIGXFSZ))", work).unwrap();
        assert!(killed.starts_with("ulimit -f"), "{killed}");
        let full = mend_message("no folder: No space left on device (os error 28) at \"/x\"", work).unwrap();
        assert!(full.starts_with("df -h /s/work;"), "{full}");
        for other in ["no such remote", "Permission denied (os error 13)", "(os error x)"] {
            assert_eq!(mend_message(other, work), None, "{other}");
        }
    }
}
