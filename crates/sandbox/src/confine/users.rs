//! A user of its own for each running task, if the runner is root: what a task leaves cannot reach another task, the runner,
//! or another user of the machine.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use nix::unistd::{Gid, Group, Uid, User};

/// First user id that is lent by default. The 4,096 ids from here on are unused by convention: they are above the ids that
/// Debian (60000 to 64999) and systemd (60001 to 60577, 61184 to 65519) assign, and below those of /etc/subuid (100000).
/// See "Users, Groups, UIDs and GIDs on systemd Systems".
pub const FIRST: u32 = 70_000;

/// First user id in a user namespace of the usual 65,536 ids, such as a container's, where [`FIRST`] does not exist.
const FIRST_IN_NAMESPACE: u32 = 60_000;

/// Number of user ids that are lent: more than `--concurrent` of all runners of one host together.
const COUNT: u32 = 4_096;

/// Users that can be lent to tasks.
#[derive(Debug, Clone)]
pub struct Users {
    first: u32,
    locks: PathBuf,
    /// Whether an id belongs to a user or a group of the machine. Cached, since the database may be on another host.
    taken: Arc<Mutex<HashMap<u32, bool>>>,
}

impl Users {
    /// Makes the users from `first` on, with their locks in the folder `locks`, which all runners of a host must share.
    ///
    /// # Errors
    /// The system's error if the folder cannot be made.
    pub fn new(first: u32, locks: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(locks)?;
        let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        let first = if first == FIRST && !holds(&map, FIRST) { FIRST_IN_NAMESPACE } else { first };
        Ok(Self { first, locks: locks.to_owned(), taken: Arc::default() })
    }

    /// Lends a user that no task uses and that the machine does not know: all its processes are killed at the task's end.
    /// The user is returned when the loan is dropped, and when this process ends.
    ///
    /// # Errors
    /// An error if no user is free or a lock cannot be made.
    pub fn lend(&self) -> io::Result<Loan> {
        let last = self.first + (COUNT - 1);
        let mut skipped = 0;
        for uid in self.first..=last {
            if self.is_taken(uid) {
                skipped += 1;
                continue;
            }
            let file = File::create(self.locks.join(format!("uid-{uid}")))?;
            match file.try_lock() {
                Ok(()) => return Ok(Loan { uid, _file: file }),
                Err(fs::TryLockError::WouldBlock) => {}
                Err(fs::TryLockError::Error(error)) => return Err(error),
            }
        }
        Err(io::Error::other(format!(
            "none of the user ids {} to {last} is free: {skipped} belong to users or groups of this machine, {} are lent; choose another --sandbox-uid",
            self.first,
            COUNT - skipped
        )))
    }

    /// Returns whether the machine knows a user or a group of this id.
    fn is_taken(&self, uid: u32) -> bool {
        let mut known = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        *known.entry(uid).or_insert_with(|| {
            let listed = ["/etc/passwd", "/etc/group"].into_iter().any(|file| lists(file, uid));
            // A look-up loads the modules of systemd or of a directory service into this process: two megabytes of memory.
            // By convention they know none of the default ids.
            listed || ![FIRST, FIRST_IN_NAMESPACE].contains(&self.first) && is_known(uid)
        })
    }
}

/// Returns whether a file in the format of `/etc/passwd` or `/etc/group` has an entry of this id.
fn lists(file: &str, uid: u32) -> bool {
    let number = uid.to_string();
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().any(|line| line.split(':').nth(2) == Some(&number))
}

/// Returns whether the machine's user database knows the id. A database that does not answer counts as not knowing it.
fn is_known(uid: u32) -> bool {
    matches!(User::from_uid(Uid::from_raw(uid)), Ok(Some(_)))
        || matches!(Group::from_gid(Gid::from_raw(uid)), Ok(Some(_)))
}

/// Returns whether `uid` exists in a user namespace with this map, as the kernel shows it. An unreadable map counts as
/// holding all ids.
fn holds(map: &str, uid: u32) -> bool {
    let range = |line: &str| {
        let mut numbers = line.split_whitespace().map(|number| number.parse::<u64>().ok());
        let (first, _, count) = (numbers.next()??, numbers.next()??, numbers.next()??);
        Some(first..first + count)
    };
    map.is_empty() || map.lines().filter_map(range).any(|range| range.contains(&u64::from(uid)))
}

/// A user that is lent to a task.
#[derive(Debug)]
pub struct Loan {
    /// User id; the group id is the same.
    pub uid: u32,
    _file: File,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lends_no_user_twice() {
        let folder = tempfile::tempdir().unwrap();
        let users = Users::new(FIRST + 1, &folder.path().join("users")).unwrap();
        let (first, second) = (users.lend().unwrap(), users.lend().unwrap());
        assert_eq!((first.uid, second.uid), (FIRST + 1, FIRST + 2));
        drop(first);
        assert_eq!(users.lend().unwrap().uid, FIRST + 1);
    }

    #[test]
    fn lends_no_user_of_this_machine() {
        let folder = tempfile::tempdir().unwrap();
        // 65534 is the user `nobody` on every machine.
        let users = Users::new(65_533, &folder.path().join("users")).unwrap();
        let lent: Vec<_> = (0..3).map(|_| users.lend().unwrap()).collect();
        let numbers: Vec<u32> = lent.iter().map(|loan| loan.uid).collect();
        assert_eq!(numbers, [65_533, 65_535, 65_536]);
        assert!(lists("/etc/passwd", 65_534) && !lists("/etc/passwd", FIRST) && !lists("/nonexistent", 0));
        // All ids but one are taken.
        let users = Users::new(FIRST, &folder.path().join("users")).unwrap();
        *users.taken.lock().unwrap() = (FIRST..FIRST + COUNT).map(|uid| (uid, uid != FIRST + 7)).collect();
        let only = users.lend().unwrap();
        assert_eq!(only.uid, FIRST + 7);
        let error = users.lend().unwrap_err().to_string();
        assert_eq!(
            error,
            "none of the user ids 70000 to 74095 is free: 4095 belong to users or groups of this machine, 1 are lent; choose another --sandbox-uid"
        );
    }

    #[test]
    fn reads_maps_of_user_namespaces() {
        let whole = "         0          0 4294967295\n";
        let container = "         0     100000      65536\n";
        let own = "         0       1000          1\n         1     100000      65536\n";
        assert!(holds(whole, FIRST) && holds("", FIRST) && holds(container, FIRST_IN_NAMESPACE));
        assert!(!holds(container, FIRST) && !holds(own, FIRST) && holds(own, 65_536) && !holds(own, 65_537));
    }
}
