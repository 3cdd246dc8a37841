//! A task's own folder: made for it, removed after it.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::OFlag;

/// How the names of tasks' folders begin.
const PREFIX: &str = "task-";

/// The folder of one task, with a place for everything that the task needs. Dropping it removes it.
#[derive(Debug)]
pub struct Workspace {
    root: PathBuf,
    /// Locked as long as this process works there: what nobody holds is a leftover.
    _held: File,
}

impl Workspace {
    /// Makes a new folder below `work_dir`, which is made too where it is not there.
    pub fn new(work_dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(work_dir)?;
        let root = tempfile::Builder::new().prefix(PREFIX).tempdir_in(work_dir)?.keep();
        let held = File::open(&root)?;
        held.try_lock()?;
        let workspace = Self { root, _held: held };
        let folders =
            [workspace.checkout(), workspace.home(), workspace.temp(), workspace.out(), workspace.stage()];
        for folder in folders {
            fs::create_dir(folder)?;
        }
        Ok(workspace)
    }

    /// Its name, which no other task's has.
    pub fn name(&self) -> String {
        self.root.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// All that the checkout may write to.
    pub fn checkout(&self) -> PathBuf {
        self.root.join("checkout")
    }

    /// Where the student's repository goes.
    pub fn source(&self) -> PathBuf {
        self.checkout().join("src")
    }

    /// Where the suite's copy goes.
    pub fn suite(&self) -> PathBuf {
        self.root.join("suite")
    }

    /// The suite's `HOME`.
    pub fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    /// The suite's `TMPDIR`.
    pub fn temp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// The folder of the report.
    pub fn out(&self) -> PathBuf {
        self.root.join("out")
    }

    /// Where the suite writes its report.
    pub fn report(&self) -> PathBuf {
        self.out().join("report.xml")
    }

    /// Where it is written how the run came about.
    pub fn about(&self) -> PathBuf {
        self.root.join("about.json")
    }

    /// The list of the suite's own files, in a folder of its own.
    pub fn listed(&self) -> PathBuf {
        self.root.join("listed/suite")
    }

    /// Where a disk of the task's own can be mounted.
    pub fn stage(&self) -> PathBuf {
        self.root.join("stage")
    }

    /// The whole environment of a program that is run here with the interpreter `python`; nothing is inherited but
    /// `PATH`, so that no secret of the runner's can be.
    pub fn environment(&self, python: &Path) -> Vec<(String, String)> {
        let bin = python.parent().unwrap_or(Path::new("/usr/bin")).display().to_string();
        let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned());
        [
            ("PATH", format!("{bin}:{path}")),
            ("VIRTUAL_ENV", bin.trim_end_matches("/bin").to_owned()),
            ("HOME", self.home().display().to_string()),
            ("TMPDIR", self.temp().display().to_string()),
            ("LANG", "C.UTF-8".to_owned()),
            // What a program leaves in HOME is not to be loaded into an interpreter that starts later.
            ("PYTHONNOUSERSITE", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// The stem of the files that hold the suite's stdout and stderr.
    pub fn output(&self) -> PathBuf {
        self.root.join("suite-output")
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if let Err(error) = remove_tree(&self.root) {
            tracing::warn!(name: "workspace_not_removed", folder = %self.root.display(), %error, "a task's folder could not be removed");
        }
    }
}

/// Removes the folders that earlier runs left below `work_dir` when they were killed. Those in which somebody still
/// works stay, and those that are younger than `spared`: somebody else may be about to work in them.
pub fn sweep(work_dir: &Path, spared: Duration) {
    for entry in fs::read_dir(work_dir).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        let folder = entry.path();
        if !ours || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let age = entry.metadata().and_then(|meta| meta.modified()).ok().and_then(|made| made.elapsed().ok());
        if age.is_none_or(|age| age < spared) && !spared.is_zero() {
            continue;
        }
        // One whose owner took his rights away cannot be opened, except by root; it has no other user.
        if File::open(&folder).is_ok_and(|held| held.try_lock().is_err()) {
            continue;
        }
        match remove_tree(&folder) {
            Ok(()) => {
                tracing::info!(name: "leftover_folder_removed", folder = %folder.display(), "a folder of an earlier run was removed");
            }
            Err(error) => {
                tracing::warn!(name: "leftover_folder_not_removed", folder = %folder.display(), %error, "a folder of an earlier run cannot be removed");
            }
        }
    }
}

/// Removes a tree also where its owner took his own rights away, or where a process that is just being killed still
/// writes into it. Waits for half a second at the most.
#[expect(
    clippy::disallowed_methods,
    reason = "the tree is all this thread has to do; there is no event to wait for"
)]
pub fn remove_tree(root: &Path) -> io::Result<()> {
    for _ in 0..20 {
        match remove_any_depth(root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !is_there(root) => return Ok(()),
            Err(error)
                if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound) =>
            {
                std::thread::sleep(Duration::from_millis(25));
            }
            other => return other,
        }
    }
    remove_any_depth(root)
}

fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// A folder that is held open: its path here stays short, and leads to it whatever becomes of its name.
struct Held {
    path: PathBuf,
    _file: File,
}

impl Held {
    /// Opens a folder, never a link to one, and gives back the rights that its owner took away.
    fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
        let file = File::options().read(true).custom_flags(flags.bits()).open(path)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        if fs::metadata(&path)?.permissions().mode() & 0o700 != 0o700 {
            fs::set_permissions(&path, Permissions::from_mode(0o700))?;
        }
        Ok(Self { path, _file: file })
    }
}

/// Removes a tree with two open folders at a time, however deep it is: the folders in a folder are moved up to the root
/// first. `fs::remove_dir_all` calls itself and holds a descriptor for each level; a few thousand levels are too much
/// for a thread's stack, and that ends the whole program.
fn remove_any_depth(root: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(root)?.is_dir() {
        return fs::remove_file(root);
    }
    let top = Held::open(root)?;
    loop {
        let mut empty = true;
        // The names of the last round are free again: a folder grows with each new name and never shrinks.
        let mut number = 0;
        for entry in fs::read_dir(&top.path)? {
            let entry = entry?;
            empty = false;
            if !entry.file_type()?.is_dir() {
                fs::remove_file(entry.path())?;
            } else if fs::remove_dir(entry.path()).is_err() {
                move_up(&entry.path(), &top, &mut number)?;
                fs::remove_dir(entry.path())?;
            }
        }
        if empty {
            return fs::remove_dir(root);
        }
    }
}

/// Removes the files in `folder` and moves the folders in it to `top`.
fn move_up(folder: &Path, top: &Held, number: &mut u64) -> io::Result<()> {
    let held = Held::open(folder)?;
    for entry in fs::read_dir(&held.path)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            fs::remove_file(entry.path())?;
        } else if fs::remove_dir(entry.path()).is_err() {
            // A folder that gets another parent is written to itself.
            drop(Held::open(&entry.path())?);
            let target = loop {
                *number += 1;
                let target = top.path.join(format!("moved-{number}"));
                if !is_there(&target) {
                    break target;
                }
            };
            fs::rename(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Copies a folder with its modes and symlinks; what is neither file, folder nor symlink is left out.
pub fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    fill_tree(from, to)
}

/// The same into a folder that is there and empty.
pub fn fill_tree(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path())?, target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), target)?;
        }
    }
    // Last: a folder that is read-only could not have been filled.
    fs::set_permissions(to, Permissions::from_mode(fs::metadata(from)?.permissions().mode() | 0o700))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_leaves_nothing() {
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
    fn removes_deep_paths_and_odd_names() {
        let work = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(&work.path().join("work")).unwrap();
        // Deeper than any path may be long, and than there are descriptors: made step by step.
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
    fn a_copy_keeps_modes_and_links() {
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
}
