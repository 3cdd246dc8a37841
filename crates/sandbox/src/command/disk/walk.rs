//! Counts the bytes and files in a tree that a hostile program changes at the same time. It works with descriptors, so that no
//! path is too long; with two of them, so that no tree is too deep; and also in folders whose owner took his own access
//! rights away.

use std::collections::HashSet;
use std::ffi::CString;
use std::fs::{self, Permissions};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};

use super::LimitHit;
use crate::confine::Limits;

/// How often a walk descends again from the root because folders were moved.
const MAX_RETRIES: usize = 100;

const FOLDER: OFlag =
    OFlag::O_DIRECTORY.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC).union(OFlag::O_NONBLOCK);

/// Identity of a file or folder: device and inode.
pub(super) type Identity = (u64, u64);

/// A walk through trees: what has been counted, and the limits.
pub(super) struct Walk {
    /// Limits of bytes and of files.
    max: (u64, u64),
    /// Whether folders without read permission are opened.
    open: bool,
    bytes: u64,
    files: u64,
    /// Files with more than one name, or none, that have been counted.
    seen: HashSet<Identity>,
}

/// A folder on the way down.
struct Level {
    name: CString,
    identity: Identity,
    /// Folders in it that have not been walked.
    left: Vec<CString>,
    /// Its original mode, if it was changed.
    mode: Option<u32>,
}

impl Walk {
    pub(super) fn new(limits: &Limits, open: bool) -> Self {
        let max = (limits.disk.0.unwrap_or(u64::MAX), limits.files().unwrap_or(u64::MAX));
        Self { max, open, bytes: 0, files: 0, seen: HashSet::new() }
    }

    /// Returns the limit that is exceeded.
    pub(super) fn hit(&self) -> Option<LimitHit> {
        if self.bytes > self.max.0 {
            return Some(LimitHit::Disk);
        }
        (self.files > self.max.1).then_some(LimitHit::Files)
    }

    /// Counts a file that was not found by its name.
    pub(super) fn add_unnamed(&mut self, identity: Identity, blocks: u64) {
        if self.seen.insert(identity) {
            self.files += 1;
            self.bytes = self.bytes.saturating_add(blocks.saturating_mul(512));
        }
    }

    /// Counts everything in the tree at `top`, until a limit is exceeded.
    pub(super) fn count(&mut self, top: &Path) {
        let Ok(root) = openat(AT_FDCWD, top, FOLDER, Mode::empty()) else { return };
        let Some(first) = self.list(&root, CString::default(), None) else { return };
        let mut levels = vec![first];
        let Ok(mut here) = root.try_clone() else { return };
        let mut retries = 0;
        while self.hit().is_none() {
            let Some(level) = levels.last_mut() else { return };
            if let Some(name) = level.left.pop() {
                let Some((fd, mode)) = enter(&here, &name, self.open) else { continue };
                if let Some(below) = self.list(&fd, name, mode) {
                    levels.push(below);
                    here = fd;
                }
                continue;
            }
            let up = openat(&here, c"..", FOLDER | OFlag::O_PATH, Mode::empty());
            if let Some(done) = levels.pop() {
                give_back(&here, &done);
            }
            let Some(above) = levels.last() else { return };
            match up {
                Ok(up) if identity_of(&up) == Some(above.identity) => here = up,
                // The folder was moved, and its parent is another one now.
                _ => {
                    retries += 1;
                    let found = (retries < MAX_RETRIES).then(|| descend(&root, &mut levels)).flatten();
                    let Some(found) = found else { return };
                    here = found;
                }
            }
        }
    }

    /// Counts the entries of a folder, and collects the folders among them.
    fn list(&mut self, folder: &OwnedFd, name: CString, mode: Option<u32>) -> Option<Level> {
        let identity = identity_of(folder)?;
        let mut left = Vec::new();
        let mut entries = Dir::from_fd(folder.try_clone().ok()?).ok()?;
        for entry in entries.iter().flatten() {
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            self.files += 1;
            if self.hit().is_some() {
                break;
            }
            let Ok(stat) = fstatat(folder, name, AtFlags::AT_SYMLINK_NOFOLLOW) else { continue };
            let is_folder = is_a(&stat, SFlag::S_IFDIR);
            // A file with several names takes room once.
            if is_folder || stat.st_nlink == 1 || self.seen.insert((stat.st_dev, stat.st_ino)) {
                let blocks = u64::try_from(stat.st_blocks).unwrap_or(0);
                self.bytes = self.bytes.saturating_add(blocks.saturating_mul(512));
            }
            if is_folder {
                left.push(name.to_owned());
            }
        }
        Some(Level { name, identity, left, mode })
    }
}

/// Opens a folder in `here`. If this user is the owner and lacks access rights, and `open` is set, the folder gets them; its
/// original mode is returned then.
fn enter(here: &OwnedFd, name: &CString, open: bool) -> Option<(OwnedFd, Option<u32>)> {
    let opened = openat(here, name.as_c_str(), FOLDER, Mode::empty());
    let path = match opened {
        // A folder that can be listed may still deny access to its entries.
        Ok(fd) if nix::unistd::geteuid().is_root() || mode_of(&fd)? & 0o500 == 0o500 => {
            return Some((fd, None));
        }
        Ok(_) | Err(Errno::EACCES) if !open => return None,
        Ok(fd) => fd,
        Err(Errno::EACCES) => openat(here, name.as_c_str(), FOLDER | OFlag::O_PATH, Mode::empty()).ok()?,
        Err(_) => return None,
    };
    let mode = mode_of(&path)?;
    change_mode(&path, mode | 0o700)?;
    let fd = openat(&path, c".", FOLDER, Mode::empty()).ok()?;
    Some((fd, Some(mode)))
}

/// Restores the mode of a folder, unless its mode was changed since.
fn give_back(folder: &OwnedFd, level: &Level) {
    let Some(mode) = level.mode.filter(|_| identity_of(folder) == Some(level.identity)) else { return };
    if mode_of(folder) == Some(mode | 0o700) {
        change_mode(folder, mode);
    }
}

/// Descends again from the root as far as the levels are where they were; drops the levels below.
fn descend(root: &OwnedFd, levels: &mut Vec<Level>) -> Option<OwnedFd> {
    let mut here = root.try_clone().ok()?;
    for depth in 1..levels.len() {
        match openat(&here, levels[depth].name.as_c_str(), FOLDER | OFlag::O_PATH, Mode::empty()) {
            Ok(fd) if identity_of(&fd) == Some(levels[depth].identity) => here = fd,
            _ => {
                levels.truncate(depth);
                break;
            }
        }
    }
    Some(here)
}

fn change_mode(folder: &OwnedFd, mode: u32) -> Option<()> {
    // `fchmod` does not work for an `O_PATH` descriptor.
    let path = format!("/proc/self/fd/{}", folder.as_raw_fd());
    fs::set_permissions(path, Permissions::from_mode(mode)).ok()
}

fn mode_of(folder: &impl AsFd) -> Option<u32> {
    fstat(folder).ok().map(|stat| stat.st_mode & 0o7777)
}

fn identity_of(folder: &impl AsFd) -> Option<Identity> {
    fstat(folder).ok().map(|stat| (stat.st_dev, stat.st_ino))
}

fn is_a(stat: &FileStat, kind: SFlag) -> bool {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == kind
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::mkdirat;

    use super::*;
    use text::Limit;

    fn limits(disk: u64) -> Limits {
        Limits { disk: Limit(Some(disk)), ..Limits::none() }
    }

    fn counted(top: &Path) -> (u64, u64) {
        let mut walk = Walk::new(&limits(1 << 30), true);
        walk.count(top);
        (walk.bytes, walk.files)
    }

    #[test]
    fn counts_deep_and_locked_folders_and_restores_modes() {
        let folder = tempfile::tempdir().unwrap();
        let locked = folder.path().join("locked");
        fs::create_dir(&locked).unwrap();
        fs::write(locked.join("large"), vec![1; 1 << 20]).unwrap();
        fs::write(folder.path().join("twice"), vec![1; 1 << 20]).unwrap();
        fs::hard_link(folder.path().join("twice"), folder.path().join("again")).unwrap();
        // Longer than the longest path, and more levels than there are descriptors.
        let name = "d".repeat(200);
        let mut here = openat(AT_FDCWD, folder.path(), FOLDER, Mode::empty()).unwrap();
        for _ in 0..2_000 {
            mkdirat(&here, name.as_str(), Mode::from_bits_truncate(0o700)).unwrap();
            here = openat(&here, name.as_str(), FOLDER, Mode::empty()).unwrap();
        }
        let flags = OFlag::O_CREAT | OFlag::O_WRONLY;
        let deep = openat(&here, "large", flags, Mode::from_bits_truncate(0o600)).unwrap();
        nix::unistd::write(&deep, &vec![1; 1 << 20]).unwrap();
        fs::set_permissions(&locked, Permissions::from_mode(0o000)).unwrap();
        let (bytes, files) = counted(folder.path());
        assert_eq!(files, 1 + 1 + 2 + 2_000 + 1);
        // Folders take room as well.
        assert!((3 << 20..20 << 20).contains(&bytes), "{bytes}");
        assert_eq!(fs::metadata(&locked).unwrap().permissions().mode() & 0o7777, 0);
        crate::workspace::remove_tree(folder.path()).unwrap();
    }

    #[test]
    fn reports_exceeded_limits() {
        let folder = tempfile::tempdir().unwrap();
        let hit = |disk| {
            let mut walk = Walk::new(&limits(disk), true);
            walk.count(folder.path());
            walk.hit()
        };
        fs::write(folder.path().join("large"), vec![1; 2 << 20]).unwrap();
        assert_eq!((hit(1 << 20), hit(4 << 20)), (Some(LimitHit::Disk), None));
        for number in 0..4_100 {
            fs::write(folder.path().join(number.to_string()), "").unwrap();
        }
        assert_eq!(hit(16 << 20), Some(LimitHit::Files));
    }
}
