//! Disks that are full or read-only, for real.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tempfile::TempDir;

/// A file system of its own, unmounted with the test.
pub struct SmallDisk(TempDir);

impl SmallDisk {
    /// Skipped with a loud line where this user may not mount.
    pub fn new(size: &str) -> Option<Self> {
        let disk = Self(tempfile::tempdir().unwrap());
        let options = format!("size={size}");
        match mount(Some("none"), disk.0.path(), Some("tmpfs"), MsFlags::empty(), Some(options.as_str())) {
            Ok(()) => Some(disk),
            Err(error) => {
                let line = format!("a tmpfs cannot be mounted here: {error}");
                assert!(std::env::var_os("RUNNER_TEST_NO_SKIP").is_none(), "{line}");
                eprintln!("\n!!! SKIPPED: {line}\n");
                None
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes until nothing goes in any more; returns the file.
    pub fn fill(&self) -> PathBuf {
        let path = self.0.path().join(format!("fill-{}", fastrand::u32(..)));
        let mut file = File::create(&path).unwrap();
        while file.write_all(&[1; 4096]).is_ok() {}
        path
    }

    /// Makes a folder read-only for everybody who comes by its name, as a disk is after an error, until the drop.
    pub fn read_only(&self, folder: &str) -> ReadOnly {
        let folder = self.0.path().join(folder);
        let none = None::<&str>;
        mount(Some(&folder), &folder, none, MsFlags::MS_BIND, none).unwrap();
        let read_only = ReadOnly(folder);
        let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount(none, &read_only.0, none, flags, none).unwrap();
        read_only
    }
}

/// A folder that is read-only until this is dropped.
pub struct ReadOnly(PathBuf);

impl Drop for ReadOnly {
    fn drop(&mut self) {
        umount2(&self.0, MntFlags::MNT_DETACH).ok();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        umount2(self.0.path(), MntFlags::MNT_DETACH).ok();
    }
}
