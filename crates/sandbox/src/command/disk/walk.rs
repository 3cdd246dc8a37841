//! Weighs a tree that its owner changes meanwhile, and hides things in: by descriptors, so that no path is too long;
//! with two of them, so that no tree is too deep; also in folders whose owner took his own rights away.

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

use super::Hit;
use crate::confine::Limits;

/// How often the way down is looked for again in one look, where folders move.
const RETRIES: usize = 100;

const FOLDER: OFlag =
    OFlag::O_DIRECTORY.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC).union(OFlag::O_NONBLOCK);

/// A file or folder, whatever it is called.
pub(super) type Identity = (u64, u64);

/// What has been counted so far, and what may be.
pub(super) struct Walk {
    most: (u64, u64),
    /// Whether folders that their owner has closed are opened for it.
    open: bool,
    bytes: u64,
    files: u64,
    /// Those that have more than one name, or none.
    seen: HashSet<Identity>,
}

/// A folder on the way down.
struct Level {
    name: CString,
    identity: Identity,
    /// Folders in it that are still to be looked into.
    left: Vec<CString>,
    /// Its mode, where it had to be changed.
    mode: Option<u32>,
}

impl Walk {
    pub(super) fn new(limits: &Limits, open: bool) -> Self {
        let most = (limits.disk.0.unwrap_or(u64::MAX), limits.files().unwrap_or(u64::MAX));
        Self { most, open, bytes: 0, files: 0, seen: HashSet::new() }
    }

    pub(super) fn hit(&self) -> Option<Hit> {
        if self.bytes > self.most.0 {
            return Some(Hit::Disk);
        }
        (self.files > self.most.1).then_some(Hit::Files)
    }

    /// Counts a file that was found by another way than its name.
    pub(super) fn add_unnamed(&mut self, identity: Identity, blocks: u64) {
        if self.seen.insert(identity) {
            self.files += 1;
            self.bytes = self.bytes.saturating_add(blocks.saturating_mul(512));
        }
    }

    /// Counts all that is in the tree at `top`, or as much as is too much.
    pub(super) fn weigh(&mut self, top: &Path) {
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
                // Somebody has moved it, so that the way up leads elsewhere.
                _ => {
                    retries += 1;
                    let found = (retries < RETRIES).then(|| descend(&root, &mut levels)).flatten();
                    let Some(found) = found else { return };
                    here = found;
                }
            }
        }
    }

    /// Counts what is in a folder, and tells which folders are.
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
            // Several names of one file take its room once.
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

/// Opens a folder in `here`; where its owner may not, and that is this user, with the rights that he lacks, if that is
/// to be. Then with the mode to give it again.
fn enter(here: &OwnedFd, name: &CString, open: bool) -> Option<(OwnedFd, Option<u32>)> {
    let opened = openat(here, name.as_c_str(), FOLDER, Mode::empty());
    let path = match opened {
        // A folder that can be listed may still keep what is in it to itself.
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

/// Gives a folder the mode back that it had, unless somebody has set another one since.
fn give_back(folder: &OwnedFd, level: &Level) {
    let Some(mode) = level.mode.filter(|_| identity_of(folder) == Some(level.identity)) else { return };
    if mode_of(folder) == Some(mode | 0o700) {
        change_mode(folder, mode);
    }
}

/// Goes down again from the root, as far as the levels are still where they were; those behind are given up.
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
    // By a way that works for a descriptor that is a mere place, too.
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
    use crate::confine::Most;

    fn limits(disk: u64) -> Limits {
        Limits { disk: Most(Some(disk)), ..Limits::none() }
    }

    fn weighed(top: &Path) -> (u64, u64) {
        let mut walk = Walk::new(&limits(1 << 30), true);
        walk.weigh(top);
        (walk.bytes, walk.files)
    }

    #[test]
    fn measures_deep_and_locked_folders_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let locked = folder.path().join("locked");
        fs::create_dir(&locked).unwrap();
        fs::write(locked.join("large"), vec![1; 1 << 20]).unwrap();
        fs::write(folder.path().join("twice"), vec![1; 1 << 20]).unwrap();
        fs::hard_link(folder.path().join("twice"), folder.path().join("again")).unwrap();
        // Deeper than any path may be long, and than there are descriptors.
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
        let (bytes, files) = weighed(folder.path());
        assert_eq!(files, 1 + 1 + 2 + 2_000 + 1);
        // Folders take room as well.
        assert!((3 << 20..20 << 20).contains(&bytes), "{bytes}");
        assert_eq!(fs::metadata(&locked).unwrap().permissions().mode() & 0o7777, 0);
        crate::workspace::remove_tree(folder.path()).unwrap();
    }

    #[test]
    fn more_than_may_be_there_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let hit = |disk| {
            let mut walk = Walk::new(&limits(disk), true);
            walk.weigh(folder.path());
            walk.hit()
        };
        fs::write(folder.path().join("large"), vec![1; 2 << 20]).unwrap();
        assert_eq!((hit(1 << 20), hit(4 << 20)), (Some(Hit::Disk), None));
        for number in 0..4_100 {
            fs::write(folder.path().join(number.to_string()), "").unwrap();
        }
        assert_eq!(hit(16 << 20), Some(Hit::Files));
    }
}
