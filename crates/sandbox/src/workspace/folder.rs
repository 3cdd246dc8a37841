//! The folder of one task.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::remove::remove_tree;

/// Prefix of the names of tasks' folders.
pub(super) const PREFIX: &str = "task-";

/// The folder of one task, with a place for everything that the task needs. Dropping it removes the folder.
#[derive(Debug)]
pub struct Workspace {
    root: PathBuf,
    /// Locked while this process uses the folder; a folder that is not locked is a leftover.
    _lock: File,
}

impl Workspace {
    /// Makes a new folder in `work_dir`, which is made too if it does not exist.
    ///
    /// # Errors
    /// The system's error if a folder cannot be made or locked.
    pub fn new(work_dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(work_dir)?;
        let root = tempfile::Builder::new().prefix(PREFIX).tempdir_in(work_dir)?.keep();
        let lock = File::open(&root)?;
        lock.try_lock()?;
        let workspace = Self { root, _lock: lock };
        let folders = [
            workspace.checkout(),
            workspace.home(),
            workspace.temp(),
            workspace.out(),
            workspace.mountpoint(),
        ];
        for folder in folders {
            fs::create_dir(folder)?;
        }
        Ok(workspace)
    }

    /// Returns the folder's name, which is unique in `work_dir`.
    pub fn name(&self) -> String {
        self.root.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Returns the folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Folder that the checkout may write to.
    pub fn checkout(&self) -> PathBuf {
        self.root.join("checkout")
    }

    /// Folder of the student's repository.
    pub fn source(&self) -> PathBuf {
        self.checkout().join("src")
    }

    /// Folder of the suite's copy.
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

    /// Folder of the report.
    pub fn out(&self) -> PathBuf {
        self.root.join("out")
    }

    /// The report file that the suite writes.
    pub fn report(&self) -> PathBuf {
        self.out().join("report.xml")
    }

    /// File in which the runner describes how the result was found.
    pub fn about(&self) -> PathBuf {
        self.root.join("about.json")
    }

    /// File that lists the suite's own files, in a folder of its own.
    pub fn listed(&self) -> PathBuf {
        self.root.join("listed/suite")
    }

    /// Folder on which the task's disk can be mounted.
    pub fn mountpoint(&self) -> PathBuf {
        self.root.join("mountpoint")
    }

    /// Common stem of the files that hold the suite's stdout and stderr.
    pub fn output(&self) -> PathBuf {
        self.root.join("suite-output")
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if let Err(error) = remove_tree(&self.root) {
            tracing::warn!(name: "workspace_not_removed", folder = %self.root.display(), %error, "cannot remove a task's folder");
        }
    }
}
