//! A runner's spool as anybody may read it: JSON files in folders. Looked at while its runner is dead.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use mock_backend::TaskId;
use serde::Deserialize;
use serde_json::value::RawValue;

/// What a spool held at one moment.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    /// Claims without a result: id, and how often a run of it was begun.
    pub(crate) claims: Vec<(TaskId, u32)>,
    /// Results: id, and the body to post.
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
    /// Reads the spool below `state`. What cannot be read is left out: the runner's own start judges it.
    pub(crate) fn of(state: &Path) -> Self {
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
            // Where both are there the result wins.
            if finished.contains(&name) {
                continue;
            }
            if let Ok(file) = serde_json::from_slice::<Claim<'_>>(&text) {
                snapshot.claims.push((TaskId::raw(file.id.get()), file.starts));
            }
        }
        for (name, text) in files(state, "unfinished") {
            // A claim that lacks only its last step is taken up at the next start. The rest of its room is zeros.
            let length = text.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            let is_claim = Path::new(&name).extension().is_some_and(|end| end == "claim");
            if let (true, Ok(file)) = (is_claim, serde_json::from_slice::<Claim<'_>>(&text[..length])) {
                snapshot.claims.push((TaskId::raw(file.id.get()), file.starts));
            }
        }
        snapshot
    }
}

/// The folders that must be empty once everything is answered.
pub(crate) const TO_BE_EMPTY: [&str; 4] = ["claimed", "results", "rejected", "unfinished"];

/// How many files a folder of the spool holds; none where there is no such folder.
pub(crate) fn count(state: &Path, folder: &str) -> usize {
    fs::read_dir(state.join("spool").join(folder)).map_or(0, Iterator::count)
}

fn files(state: &Path, folder: &str) -> Vec<(OsString, Vec<u8>)> {
    let entries = fs::read_dir(state.join("spool").join(folder)).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.file_name(), fs::read(entry.path()).ok()?))).collect()
}
