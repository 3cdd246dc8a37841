//! Reads the spool of a runner: JSON files in folders. Only used while the runner is dead.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use mock_backend::TaskId;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The content of a spool.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    /// Claims without a result: id, and number of starts.
    pub(crate) claims: Vec<(TaskId, u32)>,
    /// Results: id, and the body to deliver.
    pub(crate) results: Vec<(TaskId, Vec<u8>)>,
}

#[derive(Deserialize)]
struct Claim<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    starts: u32,
}

#[derive(Deserialize)]
struct Finished<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow)]
    result: &'a RawValue,
}

impl Snapshot {
    /// Reads the spool below the state folder. Omits unreadable files, which the runner handles at its next start.
    pub(crate) fn read(state: &Path) -> Self {
        let mut snapshot = Self::default();
        let mut finished = HashSet::new();
        for (name, text) in files(state, "results") {
            if let Ok(file) = serde_json::from_slice::<Finished<'_>>(&text) {
                let body = file.result.get().as_bytes().to_vec();
                snapshot.results.push((TaskId::raw(file.id.get()), body));
                finished.insert(name);
            }
        }
        for (name, text) in files(state, "claimed") {
            // A claim with a result counts as a result.
            if finished.contains(&name) {
                continue;
            }
            if let Ok(file) = serde_json::from_slice::<Claim<'_>>(&text) {
                snapshot.claims.push((TaskId::raw(file.id.get()), file.starts));
            }
        }
        for (name, text) in files(state, "unfinished") {
            // A complete claim that was not yet renamed is recovered at the next start. Zeros fill the preallocated space.
            let length = text.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            let is_claim = Path::new(&name).extension().is_some_and(|extension| extension == "claim");
            if let (true, Ok(file)) = (is_claim, serde_json::from_slice::<Claim<'_>>(&text[..length])) {
                snapshot.claims.push((TaskId::raw(file.id.get()), file.starts));
            }
        }
        snapshot
    }
}

/// The folders that must be empty once all results are delivered.
pub(crate) const EMPTY_AT_END: [&str; 5] = ["claimed", "results", "rejected", "unfinished", "aside"];

/// Number of files in a folder of the spool; 0 if the folder does not exist.
pub(crate) fn count(state: &Path, folder: &str) -> usize {
    fs::read_dir(state.join("spool").join(folder)).map_or(0, Iterator::count)
}

fn files(state: &Path, folder: &str) -> Vec<(OsString, Vec<u8>)> {
    let entries = fs::read_dir(state.join("spool").join(folder)).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.file_name(), fs::read(entry.path()).ok()?))).collect()
}
