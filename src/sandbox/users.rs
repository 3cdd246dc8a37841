//! An own user for each task that runs at a time, where the runner is root: what one leaves cannot reach another, nor
//! the runner.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// How many are tried: more than any runner's `--concurrent`, on one host together.
const MOST: u32 = 4_096;

/// The users to lend.
#[derive(Debug, Clone)]
pub struct Users {
    first: u32,
    locks: PathBuf,
}

impl Users {
    /// Users from `first` on, with their locks in `locks`, which all runners of a host must share.
    pub fn new(first: u32, locks: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(locks)?;
        Ok(Self { first, locks: locks.to_owned() })
    }

    /// Lends a user that nobody uses. It comes back when the loan is dropped, also by a crash.
    pub fn lend(&self) -> io::Result<Loan> {
        for number in 0..MOST {
            let uid = self.first + number;
            let file = File::create(self.locks.join(format!("uid-{uid}")))?;
            match file.try_lock() {
                Ok(()) => return Ok(Loan { uid, _file: file }),
                Err(fs::TryLockError::WouldBlock) => {}
                Err(fs::TryLockError::Error(error)) => return Err(error),
            }
        }
        Err(io::Error::other(format!("all {MOST} user ids from {} on are in use", self.first)))
    }
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
        let users = Users::new(60_000, &folder.path().join("users")).unwrap();
        let (first, second) = (users.lend().unwrap(), users.lend().unwrap());
        assert_eq!((first.uid, second.uid), (60_000, 60_001));
        drop(first);
        assert_eq!(users.lend().unwrap().uid, 60_000);
    }
}
