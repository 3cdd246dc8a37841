//! Watches the suite's own files where nothing keeps the program from writing to them: without namespaces and as the
//! same user, an owner can take every right back; within namespaces, files and folders are mounts. What is left to watch
//! then are symbolic links, which cannot be mounts, and the rights of the folders, which are open for new files: in one that is
//! closed, a suite that looks for its data finds none and is content. New files are the suite's business; a change of
//! what is its own ends the step, and no verdict comes of it.
//!
//! The system tells of each change as it happens (inotify), by the file and by its folder: writing by another name,
//! through a mapping, and putting something else in its place are all told, and none is taken back by undoing it.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};

use crate::confine::{Level, Plan, View};

/// Told of a file. One that was open for writing is told of when it is closed, which is how a mapping shows.
const OF_FILE: AddWatchFlags =
    AddWatchFlags::IN_MODIFY.union(AddWatchFlags::IN_CLOSE_WRITE).union(AddWatchFlags::IN_ATTRIB);

/// Told of what is in a folder, and of the folder.
const OF_FOLDER: AddWatchFlags = AddWatchFlags::IN_DELETE
    .union(AddWatchFlags::IN_MOVED_FROM)
    .union(AddWatchFlags::IN_MOVED_TO)
    .union(AddWatchFlags::IN_MOVE_SELF)
    .union(AddWatchFlags::IN_DELETE_SELF)
    .union(AddWatchFlags::IN_ATTRIB)
    .union(AddWatchFlags::IN_ONLYDIR);

/// How many of the folders above the suite are the runner's: the task's, that of all tasks, the state's.
const ABOVE: usize = 3;

/// What of a suite is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// Everything.
    All,
    /// Its symbolic links, and the rights of its folders.
    Rest,
}

/// The suite's files under watch.
pub(super) struct Seal {
    inotify: Inotify,
    top: PathBuf,
    /// What is watched, by its path below the suite's folder.
    watched: HashMap<WatchDescriptor, PathBuf>,
    /// All that is the suite's, and what leads to it.
    own: HashMap<PathBuf, Right>,
}

/// How something may be.
enum Right {
    /// A file of the suite, of this mode.
    File(u32),
    /// A folder or a link of the suite, as it is.
    Other,
    /// Anything else, with these rights.
    Open(u32),
}

impl Seal {
    /// Watches the suite of `plan`, where that is needed.
    pub(super) fn of(plan: &Plan) -> io::Result<Option<Self>> {
        let View::Suite(view) = &plan.view else { return Ok(None) };
        if plan.user.is_some() {
            return Ok(None);
        }
        let (top, what) = match plan.level {
            Level::None => return Ok(None),
            Level::Basic => (view.suite.clone(), What::All),
            Level::Bwrap => (view.stage.join("suite"), What::Rest),
        };
        let seal = Self::on(&top, what).and_then(|mut seal| {
            if what == What::All {
                seal.guard(&view.guarded)?;
            }
            Ok(seal)
        });
        let seal = seal.map_err(|error| {
            let says = match error.raw_os_error() {
                Some(nix::libc::ENOSPC) => "; fs.inotify.max_user_watches is too low",
                Some(nix::libc::EMFILE) => "; fs.inotify.max_user_instances is too low",
                _ => "",
            };
            io::Error::other(format!("the suite's files cannot be watched: {error}{says}"))
        })?;
        Ok(Some(seal))
    }

    fn on(top: &Path, what: What) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let (watched, own) = (HashMap::new(), HashMap::new());
        let mut seal = Self { inotify, top: top.to_owned(), watched, own };
        let mut left = vec![PathBuf::new()];
        while let Some(folder) = left.pop() {
            seal.watch(&folder, OF_FOLDER)?;
            for entry in fs::read_dir(top.join(&folder))? {
                let entry = entry?;
                let (path, kind) = (folder.join(entry.file_name()), entry.file_type()?);
                if kind.is_dir() {
                    left.push(path.clone());
                } else if kind.is_file() && what == What::All {
                    seal.watch(&path, OF_FILE)?;
                }
                if !kind.is_file() || what == What::All {
                    let file = kind.is_file().then(|| entry.metadata()).transpose()?;
                    seal.own.insert(path, file.map_or(Right::Other, |meta| Right::File(meta.mode())));
                }
            }
        }
        Ok(seal)
    }

    /// Watches the rights of what leads to the suite, as far as it is this user's, and those of `others`.
    fn guard(&mut self, others: &[PathBuf]) -> io::Result<()> {
        let user = nix::unistd::geteuid().as_raw();
        let above: Vec<PathBuf> = self.top.ancestors().skip(1).take(ABOVE).map(Path::to_owned).collect();
        for path in above.iter().chain(others) {
            let meta = fs::symlink_metadata(path)?;
            if meta.uid() == user {
                self.watch(path, AddWatchFlags::IN_ATTRIB)?;
                let needed = if meta.is_dir() { 0o500 } else { 0o400 };
                self.own.insert(path.clone(), Right::Open(meta.mode() & needed));
            }
        }
        Ok(())
    }

    fn watch(&mut self, path: &Path, what: AddWatchFlags) -> io::Result<()> {
        let watch = self.inotify.add_watch(&self.top.join(path), what | AddWatchFlags::IN_DONT_FOLLOW)?;
        self.watched.insert(watch, path.to_owned());
        Ok(())
    }

    /// What becomes readable when there is something to see.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }

    /// The first of the suite's files that has been changed, replaced or removed since the last call.
    pub(super) fn broken(&mut self) -> Option<String> {
        loop {
            let events = match self.inotify.read_events() {
                Ok(events) => events,
                Err(Errno::EINTR) => continue,
                Err(_) => return None,
            };
            if let Some(path) = events.iter().find_map(|event| self.concerns(event)) {
                return Some(path.display().to_string());
            }
        }
    }

    fn concerns(&self, event: &InotifyEvent) -> Option<PathBuf> {
        if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
            // Whatever was lost may have been a change.
            return Some(PathBuf::from("files"));
        }
        let watched = self.watched.get(&event.wd)?;
        let path = match &event.name {
            Some(name) => watched.join(name),
            // The end of a watch says only that there is none any more.
            None if event.mask.contains(AddWatchFlags::IN_IGNORED) => return None,
            None => watched.clone(),
        };
        let now = fs::symlink_metadata(self.top.join(&path)).map_or(0, |meta| meta.mode());
        let unchanged = match self.own.get(&path) {
            None if path.as_os_str().is_empty() => false,
            None => return None,
            // Told of another name too, which changes nothing.
            Some(Right::File(mode)) => event.mask.contains(AddWatchFlags::IN_ATTRIB) && now == *mode,
            Some(Right::Other) => false,
            // Other tasks' too: only what takes something from this one is its business.
            Some(Right::Open(bits)) => now & bits == *bits,
        };
        (!unchanged).then_some(path)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn suite() -> (tempfile::TempDir, Seal) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("tests")).unwrap();
        fs::write(folder.path().join("run.py"), "run").unwrap();
        fs::write(folder.path().join("tests/it.py"), "it").unwrap();
        std::os::unix::fs::symlink("run.py", folder.path().join("link")).unwrap();
        let seal = Seal::on(folder.path(), What::All).unwrap();
        (folder, seal)
    }

    #[test]
    fn what_is_new_is_nobodys_business() {
        let (folder, mut seal) = suite();
        let new = folder.path().join("tests/helper");
        fs::write(&new, "one").unwrap();
        fs::write(&new, "two").unwrap();
        fs::rename(&new, folder.path().join("other")).unwrap();
        fs::create_dir(folder.path().join("tests/new")).unwrap();
        fs::remove_dir(folder.path().join("tests/new")).unwrap();
        fs::remove_file(folder.path().join("other")).unwrap();
        fs::read(folder.path().join("run.py")).unwrap();
        fs::hard_link(folder.path().join("run.py"), folder.path().join("again")).unwrap();
        fs::remove_file(folder.path().join("again")).unwrap();
        assert_eq!(seal.broken(), None);
    }

    #[test]
    fn detects_every_change_even_undone() {
        type Change = fn(&Path) -> io::Result<()>;
        let changes: [(&str, Change); 12] = [
            ("tests", |top| {
                fs::set_permissions(top.join("tests"), Permissions::from_mode(0o000))?;
                fs::set_permissions(top.join("tests"), Permissions::from_mode(0o755))
            }),
            ("run.py", |top| fs::set_permissions(top.join("run.py"), Permissions::from_mode(0o000))),
            ("", |top| fs::set_permissions(top, Permissions::from_mode(0o000))),
            ("run.py", |top| fs::File::options().append(true).open(top.join("run.py"))?.write_all(b"x")),
            ("run.py", |top| fs::File::options().write(true).open(top.join("run.py")).map(drop)),
            ("run.py", |top| {
                fs::hard_link(top.join("run.py"), top.join("x"))?;
                fs::write(top.join("x"), "run")
            }),
            ("run.py", |top| {
                fs::rename(top.join("run.py"), top.join("x"))?;
                fs::rename(top.join("x"), top.join("run.py"))
            }),
            ("run.py", |top| {
                fs::write(top.join("x"), "run")?;
                fs::rename(top.join("x"), top.join("run.py"))
            }),
            ("tests/it.py", |top| fs::remove_file(top.join("tests/it.py"))),
            ("tests", |top| {
                fs::rename(top.join("tests"), top.join("x"))?;
                fs::rename(top.join("x"), top.join("tests"))
            }),
            ("link", |top| fs::remove_file(top.join("link"))),
            ("", |top| fs::rename(top, top.with_extension("moved"))),
        ];
        for (number, (path, change)) in changes.into_iter().enumerate() {
            let (folder, mut seal) = suite();
            assert_eq!(seal.broken(), None);
            change(folder.path()).unwrap();
            assert_eq!(seal.broken().as_deref(), Some(path), "change {number}");
            fs::remove_dir_all(folder.path().with_extension("moved")).ok();
        }
    }
}
