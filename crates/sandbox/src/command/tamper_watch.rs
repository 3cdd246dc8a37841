//! Watch for changes of the suite's own files, where nothing prevents them.
//!
//! Without namespaces and as the same user, the program under test owns the files and can restore every access right. With
//! namespaces, files and folders are mounts; only symbolic links, which cannot be mounts, and the modes of folders, which are
//! open for new files, are watched then: a suite that cannot read a folder finds no data there and may pass. New files are
//! allowed. A change of one of the suite's own files ends the command without a verdict.
//!
//! The kernel reports each change when it happens (inotify), for the file and for its folder. Writing by another name, writing
//! through a mapping and replacing a file are all reported, and undoing a change does not take the report back.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};

use crate::confine::{Level, Plan, View};
use crate::errno::{described, of as errno_of};

/// Events of a file. `IN_CLOSE_WRITE` shows writes through a mapping as well.
const FILE_EVENTS: AddWatchFlags =
    AddWatchFlags::IN_MODIFY.union(AddWatchFlags::IN_CLOSE_WRITE).union(AddWatchFlags::IN_ATTRIB);

/// Events of a folder and its entries.
const FOLDER_EVENTS: AddWatchFlags = AddWatchFlags::IN_DELETE
    .union(AddWatchFlags::IN_MOVED_FROM)
    .union(AddWatchFlags::IN_MOVED_TO)
    .union(AddWatchFlags::IN_MOVE_SELF)
    .union(AddWatchFlags::IN_DELETE_SELF)
    .union(AddWatchFlags::IN_ATTRIB)
    .union(AddWatchFlags::IN_ONLYDIR);

/// Number of folders above the suite that belong to the runner: the task's, that of all tasks, and the state folder.
const PARENTS: usize = 3;

/// Part of a suite that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Everything.
    All,
    /// Its symbolic links and the modes of its folders.
    LinksAndFolders,
}

/// A watch on a suite's files.
pub(super) struct TamperWatch {
    inotify: Inotify,
    top: PathBuf,
    /// Watched paths, relative to the suite's folder.
    watched: HashMap<WatchDescriptor, PathBuf>,
    /// The suite's own files and the folders above, with what must stay of each.
    own: HashMap<PathBuf, Expected>,
}

/// What must stay of a path.
enum Expected {
    /// A file of the suite: its content and this mode.
    File(u32),
    /// A folder or a link of the suite: everything.
    Unchanged,
    /// Another path: these bits of its mode.
    ModeBits(u32),
}

impl TamperWatch {
    /// Watches the suite of `plan`, if that is needed.
    ///
    /// # Errors
    /// An error with its cause and the setting that is too low, if inotify refuses.
    pub(super) fn of(plan: &Plan) -> io::Result<Option<Self>> {
        let View::Suite(view) = &plan.view else { return Ok(None) };
        if plan.user.is_some() {
            return Ok(None);
        }
        let (top, scope) = match plan.level {
            Level::None => return Ok(None),
            Level::Basic => (view.suite.clone(), Scope::All),
            Level::Bwrap => (view.mountpoint.join("suite"), Scope::LinksAndFolders),
        };
        let watch = Self::on(&top, scope).and_then(|mut watch| {
            if scope == Scope::All {
                watch.guard(&view.guarded)?;
            }
            Ok(watch)
        });
        let watch = watch.map_err(|error| {
            let hint = match error.raw_os_error() {
                Some(nix::libc::ENOSPC) => "; fs.inotify.max_user_watches is too low",
                Some(nix::libc::EMFILE) => "; fs.inotify.max_user_instances is too low",
                _ => "",
            };
            described(format!("the suite's files cannot be watched: {error}{hint}"), errno_of(&error))
        })?;
        Ok(Some(watch))
    }

    fn on(top: &Path, scope: Scope) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let (watched, own) = (HashMap::new(), HashMap::new());
        let mut watch = Self { inotify, top: top.to_owned(), watched, own };
        let mut left = vec![PathBuf::new()];
        while let Some(folder) = left.pop() {
            watch.watch(&folder, FOLDER_EVENTS)?;
            for entry in fs::read_dir(top.join(&folder))? {
                let entry = entry?;
                let (path, kind) = (folder.join(entry.file_name()), entry.file_type()?);
                if kind.is_dir() {
                    left.push(path.clone());
                } else if kind.is_file() && scope == Scope::All {
                    watch.watch(&path, FILE_EVENTS)?;
                }
                if !kind.is_file() || scope == Scope::All {
                    let file = kind.is_file().then(|| entry.metadata()).transpose()?;
                    watch
                        .own
                        .insert(path, file.map_or(Expected::Unchanged, |meta| Expected::File(meta.mode())));
                }
            }
        }
        Ok(watch)
    }

    /// Watches the modes of the folders above the suite and of `others`, as far as this user owns them.
    fn guard(&mut self, others: &[PathBuf]) -> io::Result<()> {
        let user = nix::unistd::geteuid().as_raw();
        let above: Vec<PathBuf> = self.top.ancestors().skip(1).take(PARENTS).map(Path::to_owned).collect();
        for path in above.iter().chain(others) {
            let meta = fs::symlink_metadata(path)?;
            if meta.uid() == user {
                self.watch(path, AddWatchFlags::IN_ATTRIB)?;
                let needed = if meta.is_dir() { 0o500 } else { 0o400 };
                self.own.insert(path.clone(), Expected::ModeBits(meta.mode() & needed));
            }
        }
        Ok(())
    }

    fn watch(&mut self, path: &Path, what: AddWatchFlags) -> io::Result<()> {
        let watch = self.inotify.add_watch(&self.top.join(path), what | AddWatchFlags::IN_DONT_FOLLOW)?;
        self.watched.insert(watch, path.to_owned());
        Ok(())
    }

    /// Returns the descriptor that is readable after a change.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }

    /// Returns the first of the suite's files that was changed, replaced or removed since the last call; relative to the
    /// suite's folder, and empty for the folder itself.
    pub(super) fn tampered_file(&mut self) -> Option<String> {
        loop {
            let events = match self.inotify.read_events() {
                Ok(events) => events,
                Err(Errno::EINTR) => continue,
                Err(_) => return None,
            };
            if let Some(path) = events.iter().find_map(|event| self.changed_path(event)) {
                return Some(path.display().to_string());
            }
        }
    }

    /// Returns the path of the suite that an event changed.
    fn changed_path(&self, event: &InotifyEvent) -> Option<PathBuf> {
        if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
            // The events that were lost may have been changes.
            return Some(PathBuf::from("files"));
        }
        let watched = self.watched.get(&event.wd)?;
        let path = match &event.name {
            Some(name) => watched.join(name),
            // The end of a watch is reported after the event that ended it.
            None if event.mask.contains(AddWatchFlags::IN_IGNORED) => return None,
            None => watched.clone(),
        };
        let now = fs::symlink_metadata(self.top.join(&path)).map_or(0, |meta| meta.mode());
        let unchanged = match self.own.get(&path) {
            None if path.as_os_str().is_empty() => false,
            None => return None,
            // A new hard link is reported as well, and changes neither content nor mode.
            Some(Expected::File(mode)) => event.mask.contains(AddWatchFlags::IN_ATTRIB) && now == *mode,
            Some(Expected::Unchanged) => false,
            // Shared with other tasks: only a missing bit harms this one.
            Some(Expected::ModeBits(bits)) => now & bits == *bits,
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

    fn suite() -> (tempfile::TempDir, TamperWatch) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("tests")).unwrap();
        fs::write(folder.path().join("run.py"), "run").unwrap();
        fs::write(folder.path().join("tests/it.py"), "it").unwrap();
        std::os::unix::fs::symlink("run.py", folder.path().join("link")).unwrap();
        let watch = TamperWatch::on(folder.path(), Scope::All).unwrap();
        (folder, watch)
    }

    #[test]
    fn ignores_new_files() {
        let (folder, mut watch) = suite();
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
        assert_eq!(watch.tampered_file(), None);
    }

    #[test]
    fn reports_changes_even_when_undone() {
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
            let (folder, mut watch) = suite();
            assert_eq!(watch.tampered_file(), None);
            change(folder.path()).unwrap();
            assert_eq!(watch.tampered_file().as_deref(), Some(path), "change {number}");
            fs::remove_dir_all(folder.path().with_extension("moved")).ok();
        }
    }
}
