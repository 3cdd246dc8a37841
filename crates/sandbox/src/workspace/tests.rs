use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;

#[test]
fn removes_folders_without_access_rights() {
    let work = tempfile::tempdir().unwrap();
    let workspace = Workspace::new(&work.path().join("work")).unwrap();
    let locked = workspace.temp().join("locked/inner");
    fs::create_dir_all(&locked).unwrap();
    fs::write(locked.join("file"), "x").unwrap();
    fs::set_permissions(&locked, Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(workspace.temp().join("locked"), Permissions::from_mode(0o000)).unwrap();
    drop(workspace);
    assert_eq!(fs::read_dir(work.path().join("work")).unwrap().count(), 0);
}

#[test]
fn removes_deep_trees_and_odd_names() {
    let work = tempfile::tempdir().unwrap();
    let workspace = Workspace::new(&work.path().join("work")).unwrap();
    // Longer than the longest path, and more levels than there are descriptors.
    let flags = nix::fcntl::OFlag::O_DIRECTORY;
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o700);
    let name = "d".repeat(200);
    let mut folder = nix::fcntl::open(&workspace.temp(), flags, mode).unwrap();
    for depth in 0..3_000 {
        nix::sys::stat::mkdirat(&folder, name.as_str(), mode).unwrap();
        let inner = nix::fcntl::openat(&folder, name.as_str(), flags, mode).unwrap();
        if depth % 100 == 0 {
            let none = nix::sys::stat::Mode::empty();
            nix::sys::stat::fchmod(&folder, none).unwrap();
        }
        folder = inner;
    }
    for number in 0..20_000 {
        fs::write(workspace.home().join(format!("file\n{number}")), "").unwrap();
    }
    fs::write(workspace.home().join("x".repeat(255)), "").unwrap();
    drop(workspace);
    assert_eq!(fs::read_dir(work.path().join("work")).unwrap().count(), 0);
}

#[test]
fn copies_modes_and_links() {
    let work = tempfile::tempdir().unwrap();
    let (from, to) = (work.path().join("from"), work.path().join("to"));
    fs::create_dir_all(from.join("sub")).unwrap();
    fs::write(from.join("sub/run.sh"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(from.join("sub/run.sh"), Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("sub/run.sh", from.join("link")).unwrap();
    copy_tree(&from, &to).unwrap();
    assert_eq!(fs::metadata(to.join("sub/run.sh")).unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(fs::read_link(to.join("link")).unwrap(), Path::new("sub/run.sh"));
}
