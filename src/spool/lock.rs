//! One runner for one state folder: a file that is locked as long as the process lives, and says who that is.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::files::at;
use super::stamp;

pub(super) const FILE: &str = "runner.lock";

/// The state folder is this process's own. The kernel lets it go with the process, however that ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

/// What came of trying.
#[derive(Debug)]
pub enum Locked {
    /// It is ours.
    Taken(Lock),
    /// It is somebody's, who says who that is.
    By(String),
}

impl Lock {
    /// Tries to take hold of `state`. Waits only where the holder is gone already: a child that was forked by a runner
    /// that was killed holds the file too, until it executes its own program.
    #[expect(
        clippy::disallowed_methods,
        reason = "nothing else runs yet, and a lock has no event to wait for"
    )]
    pub fn take(state: &Path) -> io::Result<Locked> {
        for _ in 0..50 {
            match Self::attempt(state)? {
                Locked::By(holder) if is_gone(&holder) => std::thread::sleep(Duration::from_millis(20)),
                settled => return Ok(settled),
            }
        }
        Self::attempt(state)
    }

    /// Who holds `state`, if anybody does. Takes hold of nothing, but for a moment together with others who ask.
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
            Err(TryLockError::Error(error)) => Err(at("look at the lock of", &path, &error)),
        }
    }

    fn attempt(state: &Path) -> io::Result<Locked> {
        let path = state.join(FILE);
        // Non-blocking and no-follow: the name may have been given to anything.
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
        // For people only: a full disk must not keep a runner from delivering what it has.
        let _ = file.set_len(0).and_then(|()| file.write_all(own_name().as_bytes()));
        Ok(Locked::Taken(Self { file }))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a child that was forked and has not yet executed its program holds the file too.
        let _ = self.file.unlock();
    }
}

/// Whether the process that named itself so runs no more. One of another machine cannot be asked.
fn is_gone(holder: &str) -> bool {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let mut words = holder.split(' ').skip(1);
    let pid = words.next().and_then(|word| word.parse::<u32>().ok());
    let here = words.nth(1) == Some(host.trim());
    pid.is_some_and(|pid| here && !Path::new(&format!("/proc/{pid}")).exists())
}

fn own_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let (pid, since) = (std::process::id(), stamp::show(SystemTime::now()));
    format!("process {pid} on {} since {since}\n", host.trim())
}

fn holder(file: File) -> String {
    let mut text = String::new();
    match file.take(500).read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => "a process that has not said who it is".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_holder_is_gone_only_if_known() {
        let own = own_name();
        assert!(!is_gone(own.trim()), "{own}");
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        assert!(is_gone(&format!("process 4194999 on {} since x", host.trim())));
        assert!(!is_gone("process 4194999 on elsewhere since x"));
        assert!(!is_gone("a process that has not said who it is"));
    }
}
