//! Counts the files of the spool.

use std::io;
use std::time::{Duration, SystemTime};

use super::files::{Folders, Place};

/// Number of files in the spool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Claims without a result.
    pub claimed: usize,
    /// Undelivered results.
    pub results: usize,
    /// Results that the backend rejected permanently.
    pub rejected: usize,
    /// Foreign or damaged files.
    pub aside: usize,
    /// Age of the oldest claim or undelivered result; `None` if there is none.
    pub oldest: Option<Duration>,
}

/// Counts the files in `folders`, without reading them.
pub(super) fn depth(folders: &Folders) -> io::Result<Depth> {
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
