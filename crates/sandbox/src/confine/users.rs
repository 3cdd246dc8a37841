//! An own user for each task that runs at a time, where the runner is root: what one leaves cannot reach another, nor
//! the runner, nor anybody else on the machine.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use nix::unistd::{Gid, Group, Uid, User};

/// The first user to lend, unless told otherwise. The 4,096 from here on are nobody's by convention: above those that
/// Debian (60000 to 64999) and systemd (60001 to 60577, 61184 to 65519) give away, below those of /etc/subuid (100000).
/// See "Users, Groups, UIDs and GIDs on systemd Systems".
pub const FIRST: u32 = 70_000;

/// The same where there is no such user: in a user namespace of the usual 65,536, a container's say.
const FIRST_IN_NAMESPACE: u32 = 60_000;

/// How many are tried: more than any runner's `--concurrent`, on one host together.
const MOST: u32 = 4_096;

/// The users to lend.
#[derive(Debug, Clone)]
pub struct Users {
    first: u32,
    locks: PathBuf,
    /// Whether a number is somebody's, as far as it was looked up: the database may be on another host.
    somebodys: Arc<Mutex<HashMap<u32, bool>>>,
}

impl Users {
    /// Users from `first` on, with their locks in `locks`, which all runners of a host must share.
    pub fn new(first: u32, locks: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(locks)?;
        let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        let first = if first == FIRST && !holds(&map, FIRST) { FIRST_IN_NAMESPACE } else { first };
        Ok(Self { first, locks: locks.to_owned(), somebodys: Arc::default() })
    }

    /// Lends a user that nobody uses and that is nobody's: at the end of a task all processes of its user are ended.
    /// It comes back when the loan is dropped, also by a crash.
    pub fn lend(&self) -> io::Result<Loan> {
        let last = self.first + (MOST - 1);
        let mut skipped = 0;
        for uid in self.first..=last {
            if self.is_somebodys(uid) {
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
            MOST - skipped
        )))
    }

    /// Whether the machine knows a user or a group of this number.
    fn is_somebodys(&self, uid: u32) -> bool {
        let mut known = self.somebodys.lock().unwrap_or_else(PoisonError::into_inner);
        *known.entry(uid).or_insert_with(|| {
            let listed = ["/etc/passwd", "/etc/group"].into_iter().any(|file| lists(file, uid));
            // All that the machine asks about users, such as systemd or a directory, is loaded into this process for the
            // question: two megabytes of its memory. By convention they know nobody of the default numbers.
            listed || ![FIRST, FIRST_IN_NAMESPACE].contains(&self.first) && is_known(uid)
        })
    }
}

/// Whether a file in the shape of `/etc/passwd` or `/etc/group` has an entry of this number.
fn lists(file: &str, uid: u32) -> bool {
    let number = uid.to_string();
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().any(|line| line.split(':').nth(2) == Some(&number))
}

/// Whether anybody the machine asks knows it. A database that does not answer names nobody.
fn is_known(uid: u32) -> bool {
    matches!(User::from_uid(Uid::from_raw(uid)), Ok(Some(_)))
        || matches!(Group::from_gid(Gid::from_raw(uid)), Ok(Some(_)))
}

/// Whether a map of a user namespace, as the kernel shows it, holds `uid`. What cannot be read is taken as if.
fn holds(map: &str, uid: u32) -> bool {
    let range = |line: &str| {
        let mut numbers = line.split_whitespace().map(|number| number.parse::<u64>().ok());
        let (first, _, count) = (numbers.next()??, numbers.next()??, numbers.next()??);
        Some(first..first + count)
    };
    map.is_empty() || map.lines().filter_map(range).any(|range| range.contains(&u64::from(uid)))
}

/// A user that is lent.
#[derive(Debug)]
pub struct Loan {
    /// Its number; the group has the same.
    pub uid: u32,
    _file: File,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_lent_twice() {
        let folder = tempfile::tempdir().unwrap();
        let users = Users::new(FIRST + 1, &folder.path().join("users")).unwrap();
        let (first, second) = (users.lend().unwrap(), users.lend().unwrap());
        assert_eq!((first.uid, second.uid), (FIRST + 1, FIRST + 2));
        drop(first);
        assert_eq!(users.lend().unwrap().uid, FIRST + 1);
    }

    #[test]
    fn never_lends_a_real_user() {
        let folder = tempfile::tempdir().unwrap();
        // `nobody` is 65534 on every machine.
        let users = Users::new(65_533, &folder.path().join("users")).unwrap();
        let lent: Vec<_> = (0..3).map(|_| users.lend().unwrap()).collect();
        let numbers: Vec<u32> = lent.iter().map(|loan| loan.uid).collect();
        assert_eq!(numbers, [65_533, 65_535, 65_536]);
        assert!(lists("/etc/passwd", 65_534) && !lists("/etc/passwd", FIRST) && !lists("/nonexistent", 0));
        // And all of these have one.
        let users = Users::new(FIRST, &folder.path().join("users")).unwrap();
        *users.somebodys.lock().unwrap() = (FIRST..FIRST + MOST).map(|uid| (uid, uid != FIRST + 7)).collect();
        let only = users.lend().unwrap();
        assert_eq!(only.uid, FIRST + 7);
        let error = users.lend().unwrap_err().to_string();
        assert_eq!(
            error,
            "none of the user ids 70000 to 74095 is free: 4095 belong to users or groups of this machine, 1 are lent; choose another --sandbox-uid"
        );
    }

    #[test]
    fn a_namespace_says_whom_it_holds() {
        let whole = "         0          0 4294967295\n";
        let container = "         0     100000      65536\n";
        let own = "         0       1000          1\n         1     100000      65536\n";
        assert!(holds(whole, FIRST) && holds("", FIRST) && holds(container, FIRST_IN_NAMESPACE));
        assert!(!holds(container, FIRST) && !holds(own, FIRST) && holds(own, 65_536) && !holds(own, 65_537));
    }
}
