//! The folders in which the git child keeps what it fetched of students' repositories, within a bound of size: who was
//! used least recently goes first.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

/// The folders.
#[derive(Debug, Clone)]
pub struct ObjectCache {
    folder: PathBuf,
    most: u64,
}

impl ObjectCache {
    /// Folders below `folder`, of `most` bytes together.
    pub fn new(folder: PathBuf, most: u64) -> Self {
        Self { folder, most }
    }

    /// The folder of the repository at `url`, which is made if need be. A login is a part of the URL: what one may
    /// see is not kept for another.
    pub fn of(&self, url: &str) -> std::io::Result<PathBuf> {
        let digest = Sha256::digest(url);
        let name = digest.iter().take(16).fold(String::new(), |name, byte| name + &format!("{byte:02x}"));
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Removes what is over the bound, but nothing that is in use. Blocks.
    pub fn prune(&self) {
        let mut kept: Vec<(SystemTime, u64, PathBuf)> = fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| (used(&entry.path()), weight(&entry.path()), entry.path()))
            .collect();
        let mut total: u64 = kept.iter().map(|(_, weight, _)| weight).sum();
        kept.sort_unstable();
        for (_, weight, folder) in kept {
            if total <= self.most {
                return;
            }
            // Opened as it is: a new time would make it the last to go.
            let lock = File::options().create(true).append(true).open(folder.join("lock"));
            if lock.is_ok_and(|lock| lock.try_lock().is_ok() && fs::remove_dir_all(&folder).is_ok()) {
                total = total.saturating_sub(weight);
            }
        }
    }
}

/// When a folder was used last; one that never was is the oldest.
fn used(folder: &Path) -> SystemTime {
    fs::metadata(folder.join("lock")).and_then(|meta| meta.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn weight(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|meta| meta.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evicts_least_recent_unless_in_use() {
        let state = tempfile::tempdir().unwrap();
        let cache = ObjectCache::new(state.path().join("repositories"), 2_500);
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
