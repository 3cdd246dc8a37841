//! Artifacts: the report and the output of the last tasks, kept for people within limits on their number, age and size.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sandbox::workspace::{Workspace, files_size, remove_tree};
use text::units::{count, duration, size};

/// Limits on the artifacts.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Folders")]
#[group(skip)]
pub struct Settings {
    /// Number of last tasks whose report and output are kept in the state folder; 0: none
    #[arg(long, global = true, env = "RUNNER_KEEP_TASKS", value_name = "COUNT", default_value = "20", value_parser = count::<0, 100_000>)]
    pub keep_tasks: usize,

    /// How long they are kept
    #[arg(long, global = true, env = "RUNNER_KEEP_AGE", value_name = "DURATION", default_value = "7d", value_parser = duration)]
    pub keep_age: Duration,

    /// How much they may take together; a report that is larger than a tenth of it is not kept
    #[arg(long, global = true, env = "RUNNER_KEEP_SIZE", value_name = "SIZE", default_value = "256MiB", value_parser = size)]
    pub keep_size: u64,
}

/// The folder of artifacts, with one folder for each task.
#[derive(Debug, Clone)]
pub struct Artifacts {
    folder: PathBuf,
    settings: Settings,
}

impl Artifacts {
    /// Keeps artifacts in `folder`, which is created when the first task ends.
    pub fn new(folder: PathBuf, settings: Settings) -> Self {
        Self { folder, settings }
    }

    /// Moves report and output of the task `id` out of `workspace`, into a folder whose name is the time and the id; then
    /// removes the oldest folders over the limits. A failure is logged: no result depends on artifacts. Blocks.
    pub fn keep(&self, workspace: &Workspace, id: &str) {
        if self.settings.keep_tasks == 0 {
            return;
        }
        if let Err(error) = self.move_in(workspace, id).and_then(|()| self.prune()) {
            tracing::debug!(name: "artifacts_not_kept", %error, folder = %self.folder.display(), "cannot keep the report and the output of a task");
        }
    }

    fn move_in(&self, workspace: &Workspace, id: &str) -> io::Result<()> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let safe: String =
            id.chars().filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).take(40).collect();
        let folder = self.folder.join(format!("{:013}-{safe}", now.as_millis()));
        fs::create_dir_all(&folder)?;
        let output = workspace.output();
        for file in [
            workspace.report(),
            workspace.about(),
            output.with_extension("stdout"),
            output.with_extension("stderr"),
        ] {
            // A task can leave anything under these names: only regular files within the limit are moved.
            let fits = |meta: fs::Metadata| meta.is_file() && meta.len() <= self.settings.keep_size / 10;
            if let Some(name) = file.file_name().filter(|_| fs::symlink_metadata(&file).is_ok_and(fits)) {
                move_file(&file, &folder.join(name))?;
            }
        }
        Ok(())
    }

    fn prune(&self) -> io::Result<()> {
        let mut folders: Vec<PathBuf> =
            fs::read_dir(&self.folder)?.flatten().map(|entry| entry.path()).collect();
        // The names begin with the time, so this is newest first.
        folders.sort_unstable_by(|a, b| b.cmp(a));
        let mut total = 0;
        for (number, folder) in folders.iter().enumerate() {
            total += files_size(folder);
            let made = fs::metadata(folder).and_then(|meta| meta.modified()).ok();
            let old =
                made.and_then(|made| made.elapsed().ok()).is_some_and(|age| age > self.settings.keep_age);
            if number >= self.settings.keep_tasks || old || total > self.settings.keep_size {
                remove_tree(folder)?;
            }
        }
        Ok(())
    }
}

fn move_file(from: &Path, to: &Path) -> io::Result<()> {
    // A rename fails if `to` is on another file system.
    fs::rename(from, to).or_else(|_| fs::copy(from, to).map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifacts(folder: &Path, keep_tasks: usize, keep_size: u64, keep_age: Duration) -> Artifacts {
        Artifacts::new(folder.join("kept"), Settings { keep_tasks, keep_age, keep_size })
    }

    fn task(folder: &Path, artifacts: &Artifacts, id: &str, report: &[u8]) {
        let workspace = Workspace::new(&folder.join("work")).unwrap();
        fs::write(workspace.report(), report).unwrap();
        artifacts.keep(&workspace, id);
        // The names have milliseconds.
        let before = SystemTime::now();
        while before.elapsed().unwrap() < Duration::from_millis(3) {}
    }

    fn names(artifacts: &Artifacts) -> Vec<String> {
        let entries = fs::read_dir(&artifacts.folder).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names.iter().map(|name| name[14..].to_owned()).collect()
    }

    #[test]
    fn keeps_newest_tasks_within_limits() {
        let folder = tempfile::tempdir().unwrap();
        let by_number = artifacts(folder.path(), 2, 1 << 20, Duration::from_secs(60));
        for id in ["a", "b/../..", "c"] {
            task(folder.path(), &by_number, id, b"<x/>");
        }
        assert_eq!(names(&by_number), ["b", "c"]);
        let by_size = artifacts(folder.path(), 9, 100_000, Duration::from_secs(60));
        for id in ["d", "e"] {
            task(folder.path(), &by_size, id, &vec![b'x'; 9_000]);
        }
        task(folder.path(), &by_size, "too-large-alone", &vec![b'x'; 20_000]);
        let kept_size: u64 =
            fs::read_dir(&by_size.folder).unwrap().flatten().map(|e| files_size(&e.path())).sum();
        assert!(kept_size < 20_000 && names(&by_size).contains(&"e".to_owned()));
        let by_age = artifacts(folder.path(), 9, 100_000, Duration::ZERO);
        task(folder.path(), &by_age, "f", b"<x/>");
        assert!(names(&by_age).is_empty(), "{:?}", names(&by_age));
    }

    #[test]
    fn ignores_report_symlink() {
        let folder = tempfile::tempdir().unwrap();
        let artifacts = artifacts(folder.path(), 2, 1 << 20, Duration::from_secs(60));
        let workspace = Workspace::new(&folder.path().join("work")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", workspace.report()).unwrap();
        artifacts.keep(&workspace, "x");
        let inside = fs::read_dir(&artifacts.folder).unwrap().next().unwrap().unwrap().path();
        assert_eq!(fs::read_dir(inside).unwrap().count(), 0);
    }
}
