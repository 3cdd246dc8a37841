use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use serde_json::value::RawValue;

use super::files::Folders;
use super::*;
use crate::task::TaskId;

fn id(raw: &str) -> TaskId {
    TaskId::new(RawValue::from_string(raw.to_owned()).unwrap())
}

fn names(state: &Path, place: Place) -> Vec<String> {
    Folders::below(state).names(place).unwrap()
}

#[test]
fn task_passes_from_slot_to_delivery() {
    let state = tempfile::tempdir().unwrap();
    let (spool, found) = Spool::open(state.path()).unwrap();
    assert!(found.claims.is_empty() && found.results.is_empty() && found.set_aside.is_empty());
    let slot = spool.reserve().unwrap();
    let body = br#"{"id": "a", "n": 1e400 }"#;
    let mut claimed = slot.claim(&id("\"../../a\""), body).unwrap();
    assert_eq!((claimed.begin().unwrap(), claimed.task_body()), (1, &body[..]));
    assert_eq!(names(state.path(), Place::Claimed), [claimed.name()]);
    let result = br#"{"id":"a","testResults":[]}"#;
    let finished = claimed.finish(result).unwrap();
    assert_eq!(finished.body().unwrap(), result);
    assert!(names(state.path(), Place::Claimed).is_empty());
    assert_eq!(spool.depth().unwrap().results, 1);
    assert!(spool.depth().unwrap().oldest.unwrap() < Duration::from_secs(60));
    finished.delivered().unwrap();
    for place in [Place::Claimed, Place::Results, Place::Rejected, Place::Aside, Place::Unfinished] {
        assert_eq!(Folders::below(state.path()).list(place).unwrap().len(), 0, "{place:?}");
    }
}

#[test]
fn slot_reserves_and_returns_room() {
    let state = tempfile::tempdir().unwrap();
    let (spool, _) = Spool::open(state.path()).unwrap();
    let room = || {
        let folder = Folders::below(state.path()).folder(Place::Unfinished);
        let files = fs::read_dir(folder).unwrap();
        files
            .map(|file| std::os::unix::fs::MetadataExt::blocks(&file.unwrap().metadata().unwrap()) * 512)
            .sum::<u64>()
    };
    let slot = spool.reserve().unwrap();
    assert!(room() >= 4 << 20, "{}", room());
    slot.check().unwrap();
    drop(slot);
    assert_eq!(room(), 0);
    let slot = spool.reserve().unwrap();
    let claimed = slot.claim(&id("1"), b"{}").unwrap();
    let file = Folders::below(state.path()).file(Place::Claimed, claimed.name());
    assert!(std::os::unix::fs::MetadataExt::blocks(&fs::metadata(file).unwrap()) * 512 < 64 << 10);
}

#[test]
fn removed_slot_still_writes_claim() {
    let state = tempfile::tempdir().unwrap();
    let (spool, _) = Spool::open(state.path()).unwrap();
    let slot = spool.reserve().unwrap();
    fs::remove_dir_all(state.path().join("spool")).unwrap();
    assert_eq!(slot.check().unwrap_err().kind(), io::ErrorKind::NotFound);
    let claimed = slot.claim(&id("1"), b"{}").unwrap();
    assert_eq!(names(state.path(), Place::Claimed), [claimed.name()]);
    claimed.finish(b"{}").unwrap().delivered().unwrap();
}

#[test]
fn counts_starts_but_no_planned_stops() {
    let state = tempfile::tempdir().unwrap();
    let reopen = || Spool::open(state.path()).unwrap().1.claims.remove(0);
    let (spool, _) = Spool::open(state.path()).unwrap();
    let mut claimed = spool.reserve().unwrap().claim(&id("1"), b"{}").unwrap();
    assert_eq!(claimed.begin().unwrap(), 1);
    drop((claimed, spool));
    let mut again = reopen();
    assert_eq!((again.starts(), again.begin().unwrap()), (1, 2));
    again.put_back().unwrap();
    assert_eq!(reopen().starts(), 1);
    let mut again = reopen();
    again.begin().unwrap();
    drop(again);
    assert!(reopen().starts() >= MAX_STARTS);
}

#[test]
fn refused_result_is_kept_and_restorable() {
    let state = tempfile::tempdir().unwrap();
    let (spool, _) = Spool::open(state.path()).unwrap();
    let claimed = spool.reserve().unwrap().claim(&id("1"), b"{}").unwrap();
    let kept = claimed.finish(br#"{"a":1.0}"#).unwrap().reject(422, "no such\n\u{1b}[31mattempt").unwrap();
    let text = fs::read_to_string(&kept).unwrap();
    assert!(text.contains("\"status\": 422") && text.contains(r"no such\nattempt"), "{text}");
    assert_eq!((spool.depth().unwrap().rejected, spool.depth().unwrap().oldest), (1, None));
    assert!(spool.new_results().unwrap().is_empty());
    fs::rename(&kept, state.path().join("spool/results").join(kept.file_name().unwrap())).unwrap();
    let mut again = spool.new_results().unwrap();
    assert_eq!(again[0].body().unwrap(), br#"{"a":1.0}"#);
    assert!(spool.new_results().unwrap().is_empty(), "it is held");
    again.remove(0).reject(400, "still not").unwrap();
    assert_eq!(fs::read_to_string(&kept).unwrap().matches("status").count(), 1);
}

#[test]
fn dropped_result_is_found_again() {
    let state = tempfile::tempdir().unwrap();
    let (spool, _) = Spool::open(state.path()).unwrap();
    let finished = spool.reserve().unwrap().claim(&id("1"), b"{}").unwrap().finish(b"{}").unwrap();
    assert!(spool.new_results().unwrap().is_empty());
    drop(finished);
    assert_eq!(spool.new_results().unwrap().len(), 1);
}

#[test]
fn only_a_json_object_is_a_result() {
    let state = tempfile::tempdir().unwrap();
    let (spool, _) = Spool::open(state.path()).unwrap();
    let mut claimed = spool.reserve().unwrap().claim(&id("1"), b"{}").unwrap();
    for wrong in [&b"[]"[..], b"", b"{", b"{} {}", b"\xff"] {
        let (back, error) = claimed.finish(wrong).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        claimed = back;
    }
    assert_eq!(names(state.path(), Place::Claimed), [claimed.name()]);
    claimed.finish(b"{}").unwrap();
}

#[test]
fn lock_error_names_other_runner() {
    let state = tempfile::tempdir().unwrap();
    let (spool, _) = Spool::open(state.path()).unwrap();
    let slot = spool.reserve().unwrap();
    drop(spool);
    // The slot holds the lock too.
    let error = Spool::open(state.path()).unwrap_err();
    assert!(
        matches!(&error, OpenError::Held { by, .. } if by.contains(&format!("process {}", std::process::id())))
    );
    assert!(error.to_string().contains("--state-dir") && !error.to_string().contains('\n'), "{error}");
    drop(slot);
    Spool::open(state.path()).unwrap();
}

#[test]
fn spool_is_closed_to_other_users() {
    let state = tempfile::tempdir().unwrap();
    fs::create_dir(state.path().join("spool")).unwrap();
    fs::set_permissions(state.path().join("spool"), fs::Permissions::from_mode(0o777)).unwrap();
    let (spool, _) = Spool::open(state.path()).unwrap();
    let _slot = spool.reserve().unwrap();
    let _claim = spool.reserve().unwrap().claim(&id("1"), b"{}").unwrap();
    let _result = spool.reserve().unwrap().claim(&id("2"), b"{}").unwrap().finish(b"{}").unwrap();
    let mut open = vec![state.path().join("spool"), state.path().join("runner.lock")];
    let mut seen = 0;
    while let Some(path) = open.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o077, 0, "{}", path.display());
        seen += 1;
        if metadata.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    assert_eq!(seen, 2 + 5 + 3);
}
