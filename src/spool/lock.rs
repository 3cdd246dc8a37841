//! The lock of a state folder: only one runner uses it at a time. The lock file contains the holder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::files::at;
use super::timestamp;

/// Name of the lock file.
pub(super) const FILE: &str = "runner.lock";

/// The lock of a state folder, held by this process. The kernel releases it when the process ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

/// Result of an attempt to lock.
#[derive(Debug)]
pub enum Locked {
    /// This process holds the lock.
    Taken(Lock),
    /// Another process holds the lock; contains its description from the lock file.
    By(String),
}

impl Lock {
    /// Tries to lock `state`. Waits, at most one second, only if the holder is dead: a child that a killed runner has just
    /// forked keeps the file locked until it executes its program.
    ///
    /// # Errors
    ///
    /// The lock file cannot be opened or locked.
    #[expect(
        clippy::disallowed_methods,
        reason = "nothing else runs yet, and there is no event for a released lock"
    )]
    pub fn take(state: &Path) -> io::Result<Locked> {
        for _ in 0..50 {
            match Self::attempt(state)? {
                Locked::By(holder) if is_dead(&holder) => std::thread::sleep(Duration::from_millis(20)),
                locked => return Ok(locked),
            }
        }
        Self::attempt(state)
    }

    /// Returns the holder of `state`; `None` if it is not locked. Takes a shared lock for a moment.
    ///
    /// # Errors
    ///
    /// The lock file cannot be opened or locked.
    pub fn holder(state: &Path) -> io::Result<Option<String>> {
        let path = state.join(FILE);
        let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(|error| at("open the lock file", &path, &error))?,
        };
        match file.try_lock_shared() {
            Ok(()) => file.unlock().map(|()| None),
            Err(TryLockError::WouldBlock) => Ok(Some(holder(file))),
            Err(TryLockError::Error(error)) => Err(at("check the lock of", &path, &error)),
        }
    }

    fn attempt(state: &Path) -> io::Result<Locked> {
        let path = state.join(FILE);
        // Non-blocking and no-follow, because the path may be a link or a pipe.
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
            .open(&path)
            .map_err(|error| at("open the lock file", &path, &error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Locked::By(holder(file))),
            Err(TryLockError::Error(error)) => return Err(at("lock", &path, &error)),
        }
        // The text is only for people: a runner must also start on a full disk, to deliver its results.
        let _ = file.set_len(0).and_then(|()| file.write_all(own_name().as_bytes()));
        Ok(Locked::Taken(Self { file }))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a child that has been forked but not yet executed its program has the file open too.
        let _ = self.file.unlock();
    }
}

/// Whether the described process is known to be dead; false for a process of another machine.
fn is_dead(holder: &str) -> bool {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let mut words = holder.split(' ').skip(1);
    let pid = words.next().and_then(|word| word.parse::<u32>().ok());
    let here = words.nth(1) == Some(host.trim());
    pid.is_some_and(|pid| here && !Path::new(&format!("/proc/{pid}")).exists())
}

/// Describes this process for the lock file.
fn own_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let (pid, since) = (std::process::id(), timestamp::show(SystemTime::now()));
    format!("process {pid} on {} since {since}\n", host.trim())
}

/// Reads the holder from the lock file.
fn holder(file: File) -> String {
    let mut text = String::new();
    match file.take(500).read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => "an unknown process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_holder_is_dead_only_if_known() {
        let own = own_name();
        assert!(!is_dead(own.trim()), "{own}");
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        assert!(is_dead(&format!("process 4194999 on {} since x", host.trim())));
        assert!(!is_dead("process 4194999 on elsewhere since x"));
        assert!(!is_dead("an unknown process"));
    }
}
