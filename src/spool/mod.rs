//! The spool: what this runner has taken and not yet answered, as JSON files that a person can read and move.
//!
//! A claim is on disk before it is worked on and a result before it is sent, so a `kill -9`, a full disk or a power
//! cut loses neither. All calls block: they write, and wait until what they wrote is durable.

mod ahead;
mod claim;
mod files;
mod finished;
mod format;
mod listing;
mod lock;
mod recover;
mod stamp;

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

pub use ahead::look_ahead;
pub use claim::{Claimed, Slot};
pub use files::Place;
pub use finished::Finished;
pub use listing::{About, Entry, contents, discard, entries, is_there, retry};
pub use lock::{Lock, Locked};
pub use stamp::show as show_time;

use files::Folders;

/// A claim that was begun so often and is still there has seen the runner die each time: it is not run again.
pub const MOST_STARTS: u32 = 2;

/// The spool of one state folder, held by this process as long as this value, or anything that came from it, lives.
#[derive(Debug, Clone)]
pub struct Spool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folders: Folders,
    /// Names of the results that somebody here holds: [`Spool::new_results`] leaves them out.
    held: Mutex<HashSet<String>>,
    _lock: Lock,
}

/// What an earlier run left, oldest first.
#[derive(Debug, Default)]
pub struct Found {
    /// Taken and not finished: to be run again, or answered with an error after [`MOST_STARTS`].
    pub claims: Vec<Claimed>,
    /// Finished and not delivered.
    pub results: Vec<Finished>,
    /// Files that are none of the spool's or are damaged: where each is now, and why. Worth a warning each.
    pub set_aside: Vec<(PathBuf, String)>,
}

/// The spool cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another runner works on this state folder.
    #[error(
        "another runner works on {}: {by}; stop it, or give this one a --state-dir of its own", .state.display()
    )]
    Held {
        /// The state folder.
        state: PathBuf,
        /// Who, as it wrote down itself: process, host, since when.
        by: String,
    },
    /// The file system refuses. The error says what was being done, and to what.
    #[error("the spool cannot be opened")]
    Io(#[from] io::Error),
}

/// How much is in the spool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Claims that are not finished.
    pub claimed: usize,
    /// Results that are not delivered.
    pub results: usize,
    /// Results that the backend refused for good.
    pub rejected: usize,
    /// Files that are none of the spool's, or damaged.
    pub aside: usize,
    /// Age of the oldest claim that is not answered; nothing where all are.
    pub oldest: Option<Duration>,
}

impl Spool {
    /// Takes hold of the spool below `state` and says what an earlier run left there. Makes what is missing.
    ///
    /// Cut, foreign and unreadable files never fail this: they are set aside.
    pub fn open(state: &Path) -> Result<(Self, Found), OpenError> {
        let folders = Folders::below(state);
        files::make_folder(state)?;
        let lock = match Lock::take(state)? {
            Locked::Taken(lock) => lock,
            Locked::By(by) => return Err(OpenError::Held { state: state.to_owned(), by }),
        };
        folders.make()?;
        let spool = Self(Arc::new(Inner { folders, held: Mutex::default(), _lock: lock }));
        let found = recover::recover(&spool.0)?;
        Ok((spool, found))
    }

    /// Makes a slot: a file with room for the largest claim. To be taken before the backend is asked; an error means
    /// that nothing is to be claimed now.
    pub fn reserve(&self) -> io::Result<Slot> {
        Slot::reserve(&self.0)
    }

    /// Results that came to `results/` from outside since the last look (`runner spool retry`, `mv`, another host),
    /// oldest first, and those that were dropped here undelivered. To be called every some seconds.
    ///
    /// A file that cannot be read as a result may still be being copied: it is left for the next start.
    pub fn new_results(&self) -> io::Result<Vec<Finished>> {
        recover::new_results(&self.0)
    }

    /// Counts files; reads none.
    pub fn depth(&self) -> io::Result<Depth> {
        let folders = &self.0.folders;
        let count = |place| folders.names(place).map(|names| names.len());
        let mut depth = Depth { rejected: count(Place::Rejected)?, ..Depth::default() };
        depth.aside = folders.list(Place::Aside)?.len();
        let mut oldest: Option<SystemTime> = None;
        for place in [Place::Claimed, Place::Results] {
            let names = folders.names(place)?;
            let times = names.iter().filter_map(|name| folders.time_of(place, name));
            oldest = oldest.into_iter().chain(times).min();
            match place {
                Place::Claimed => depth.claimed = names.len(),
                _ => depth.results = names.len(),
            }
        }
        depth.oldest = oldest.map(|oldest| oldest.elapsed().unwrap_or_default());
        Ok(depth)
    }
}

impl Inner {
    fn held(&self) -> MutexGuard<'_, HashSet<String>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
