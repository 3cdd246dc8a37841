//! Watches the suite's own files where nothing keeps the program from writing to them: without namespaces and as the
//! same user, an owner can take every right back; within namespaces, files and folders are mounts, and symbolic links,
//! which cannot be mounts, are what is left to watch. New files beside them are the suite's business; a change of one of its
//! own ends the step, and no verdict comes of it.
//!
//! The system tells of each change as it happens (inotify), by the file and by its folder: writing by another name,
//! through a mapping, and putting something else in its place are all told, and none is taken back by undoing it.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};

use crate::sandbox::{Level, Plan, View};

/// Told of a file. One that was open for writing is told of when it is closed, which is how a mapping shows.
const OF_FILE: AddWatchFlags = AddWatchFlags::IN_MODIFY.union(AddWatchFlags::IN_CLOSE_WRITE);

/// Told of what is in a folder, and of the folder.
const OF_FOLDER: AddWatchFlags = AddWatchFlags::IN_DELETE
    .union(AddWatchFlags::IN_MOVED_FROM)
    .union(AddWatchFlags::IN_MOVED_TO)
    .union(AddWatchFlags::IN_MOVE_SELF)
    .union(AddWatchFlags::IN_DELETE_SELF)
    .union(AddWatchFlags::IN_ONLYDIR);

/// What of a suite is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// Everything.
    All,
    /// Its symbolic links.
    Links,
}

/// The suite's files under watch.
pub(super) struct Seal {
    inotify: Inotify,
    top: PathBuf,
    /// What is watched, by its path below the suite's folder.
    watched: HashMap<WatchDescriptor, PathBuf>,
    /// All that is the suite's.
    own: HashSet<PathBuf>,
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
            Level::Bwrap => (view.stage.join("suite"), What::Links),
        };
        let seal = Self::on(&top, what).map_err(|error| {
            let says = match error.raw_os_error() {
                Some(nix::libc::ENOSPC) => "; fs.inotify.max_user_watches is too low",
                Some(nix::libc::EMFILE) => "; fs.inotify.max_user_instances is too low",
                _ => "",
            };
            io::Error::other(format!("the suite's files cannot be watched: {error}{says}"))
        })?;
        Ok(Some(seal).filter(|seal| !seal.own.is_empty()))
    }

    fn on(top: &Path, what: What) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let (watched, own) = (HashMap::new(), HashSet::new());
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
                if kind.is_symlink() || what == What::All {
                    seal.own.insert(path);
                }
            }
        }
        Ok(seal)
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
        match &event.name {
            Some(name) => Some(watched.join(name)).filter(|path| self.own.contains(path)),
            // The end of a watch says only that there is none any more.
            None if event.mask.contains(AddWatchFlags::IN_IGNORED) => None,
            None => {
                Some(watched.clone()).filter(|path| path.as_os_str().is_empty() || self.own.contains(path))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

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
        assert_eq!(seal.broken(), None);
    }

    #[test]
    fn every_change_is_seen_also_one_that_is_undone() {
        type Change = fn(&Path) -> io::Result<()>;
        let changes: [(&str, Change); 9] = [
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
