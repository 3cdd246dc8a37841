//! The cache folders of students' repositories. If they exceed their size limit, the least recently used are removed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use sandbox::workspace::files_size;
use text::hex;

/// The folders, one per repository.
#[derive(Debug, Clone)]
pub struct CacheFolders {
    folder: PathBuf,
    max_bytes: u64,
}

impl CacheFolders {
    /// Cache folders below `folder`, with at most `max_bytes` bytes in total.
    pub fn new(folder: PathBuf, max_bytes: u64) -> Self {
        Self { folder, max_bytes }
    }

    /// Returns the folder of the repository at `url`, creating it if necessary. `url` includes the login, so users with
    /// different logins have different folders.
    ///
    /// # Errors
    ///
    /// The folder cannot be created.
    pub fn of(&self, url: &str) -> std::io::Result<PathBuf> {
        let digest = Sha256::digest(url);
        let name = hex(&digest[..16]);
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Removes the least recently used folders above the limit, except those in use. Blocks.
    pub fn prune(&self) {
        let mut folders: Vec<(SystemTime, u64, PathBuf)> = fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| (used(&entry.path()), files_size(&entry.path()), entry.path()))
            .collect();
        let mut total: u64 = folders.iter().map(|(_, size, _)| size).sum();
        folders.sort_unstable();
        for (_, size, folder) in folders {
            if total <= self.max_bytes {
                return;
            }
            // Opened without truncation, which would change the time of the last use.
            let lock = File::options().create(true).append(true).open(folder.join("lock"));
            if lock.is_ok_and(|lock| lock.try_lock().is_ok() && fs::remove_dir_all(&folder).is_ok()) {
                total = total.saturating_sub(size);
            }
        }
    }
}

/// When a folder was last used; the start of the epoch if never.
fn used(folder: &Path) -> SystemTime {
    fs::metadata(folder.join("lock")).and_then(|meta| meta.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evicts_least_recent_unless_in_use() {
        let state = tempfile::tempdir().unwrap();
        let cache = CacheFolders::new(state.path().join("repositories"), 2_500);
        let make = |url: &str, age: u64| {
            let folder = cache.of(url).unwrap();
            fs::write(folder.join("x.pack"), vec![0; 1_000]).unwrap();
            let lock = File::create(folder.join("lock")).unwrap();
            lock.set_modified(SystemTime::now() - std::time::Duration::from_secs(age)).unwrap();
            folder
        };
        let (old, older, oldest) = (make("a", 10), make("b", 20), make("c", 30));
        assert_ne!(old, cache.of("https://user@a").unwrap());
        let held = File::open(oldest.join("lock")).unwrap();
        held.try_lock_shared().unwrap();
        cache.prune();
        assert!(old.exists() && !older.exists() && oldest.exists());
        drop(held);
        make("d", 5);
        cache.prune();
        assert!(old.exists() && !oldest.exists());
    }
}
