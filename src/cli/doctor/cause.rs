//! What mends a trial that the system itself refused: a limit of this process, or a disk.
//!
//! The trials' errors come as words, for they have been through another process; the number in them is the system's own.

use std::borrow::Cow;
use std::path::Path;

use nix::errno::Errno;
use nix::libc::RLIM_INFINITY;
use nix::sys::resource::{Resource, getrlimit};

/// Lifts the limit of open files.
const OPEN_FILES: &str = "ulimit -n 1024, or LimitNOFILE=1024 in the systemd unit";

/// Lifts the limit of one file's size.
pub(super) const FILE_SIZE: &str = "ulimit -f unlimited, or LimitFSIZE=infinity in the systemd unit";

/// What mends what `why` says went wrong in `folder`; nothing where it was not for a limit or a disk.
pub(super) fn mend(why: &str, folder: &Path) -> Option<String> {
    let is_small = |limit| getrlimit(limit).is_ok_and(|(soft, _)| soft != RLIM_INFINITY);
    if why.contains("SIGXFSZ") {
        return Some(FILE_SIZE.to_owned());
    }
    numbers(why).find_map(|number| match Errno::from_raw(number) {
        Errno::EMFILE => Some(OPEN_FILES.to_owned()),
        Errno::ENFILE => Some("sysctl -w fs.file-max=1000000".to_owned()),
        Errno::EFBIG => Some(FILE_SIZE.to_owned()),
        // A process that writes past the limit is killed before it can say so.
        Errno::ECONNRESET | Errno::EPIPE if is_small(Resource::RLIMIT_FSIZE) => Some(FILE_SIZE.to_owned()),
        Errno::EAGAIN => Some("ulimit -u 4096, or LimitNPROC=4096 in the systemd unit".to_owned()),
        Errno::EROFS => Some(match place(why) {
            Place::Shared => {
                "mount -o remount,rw /tmp (or /run, /var/tmp: one of them holds what runners share)"
                    .to_owned()
            }
            Place::Folder => format!("{}, or give another --state-dir", remount(folder)),
        }),
        // It is what a kernel without room for namespaces says too.
        Errno::ENOSPC | Errno::EDQUOT if !why.contains("namespace") => Some(match place(why) {
            Place::Shared => "df -h /run /var/tmp /tmp; make room in one of them".to_owned(),
            Place::Folder => {
                let folder = quoted(folder);
                format!("df -h {folder}; df -i {folder}; make room there, or give another --state-dir")
            }
        }),
        _ => None,
    })
}

/// Makes the file system writable that `folder` is on.
pub(super) fn remount(folder: &Path) -> String {
    format!("mount -o remount,rw \"$(findmnt -no TARGET -T {})\"", quoted(folder))
}

/// A path as a shell takes it.
pub(super) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    shlex::try_quote(&text).map_or_else(|_| text.clone(), Cow::into_owned)
}

/// The numbers of errors, as `std::io::Error` writes them.
fn numbers(why: &str) -> impl Iterator<Item = i32> {
    why.split("(os error ").skip(1).filter_map(|rest| rest.split(')').next()?.parse().ok())
}

/// Where a trial's disk refused.
enum Place {
    /// In the folder that the runners of a host share.
    Shared,
    /// In the one that its own was to be in, which is gone again.
    Folder,
}

fn place(why: &str) -> Place {
    if why.contains("no folder for mounts and locks") { Place::Shared } else { Place::Folder }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mend_follows_from_what_the_system_said() {
        for (why, says) in [
            ("bwrap: cannot start: Too many open files (os error 24); basic: x", "ulimit -n 1024"),
            ("cannot write: File too large (os error 27)", "ulimit -f unlimited"),
            ("git broke (signal 25 (SIGXFSZ))", "ulimit -f unlimited"),
            (
                "a folder: Read-only file system (os error 30) at path \"/s/work/x\"",
                "mount -o remount,rw \"$(findmnt -no TARGET -T /s/work)\"",
            ),
            (
                "no folder for mounts and locks: /tmp/x: Read-only (os error 30)",
                "mount -o remount,rw /tmp (or /run",
            ),
            ("a folder: No space left on device (os error 28)", "df -h /s/work; df -i /s/work; make room"),
            ("a folder: Disk quota exceeded (os error 122)", "df -h /s/work;"),
            ("fork: Resource temporarily unavailable (os error 11)", "ulimit -u 4096"),
        ] {
            let mend = mend(why, Path::new("/s/work")).unwrap();
            assert!(mend.starts_with(says), "{why}: {mend}");
        }
        let blank = mend("a folder: No space left on device (os error 28)", Path::new("/my state")).unwrap();
        assert!(blank.starts_with("df -h '/my state'; df -i '/my state';"), "{blank}");
        for other in [
            "bwrap: Creating new namespace failed: No space left on device (os error 28)",
            "bubblewrap is not installed",
            "Permission denied (os error 13)",
            "(os error x)",
        ] {
            assert_eq!(mend(other, Path::new("/")), None, "{other}");
        }
    }
}
