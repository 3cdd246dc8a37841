//! Tests of the spool on real file systems: a start, a full or read-only disk, a kill at any moment.

mod disks;
mod killed;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::sys::stat::Mode;
use ostest_runner::spool::{Claimed, Found, Spool};
use ostest_runner::task::TaskId;
use serde_json::value::RawValue;
use tempfile::TempDir;

const RESULT: &[u8] = br#"{"isPassed":true}"#;

fn id(number: u64) -> TaskId {
    TaskId::new(RawValue::from_string(number.to_string()).unwrap())
}

fn number(id: &TaskId) -> u64 {
    id.raw().get().parse().unwrap()
}

fn claim(spool: &Spool, number: u64) -> Claimed {
    spool.reserve().unwrap().claim(&id(number), b"{\"status\": \"AVAILABLE\"}").unwrap()
}

fn claims(found: &Found) -> Vec<u64> {
    found.claims.iter().map(|claim| number(claim.id())).collect()
}

fn results(found: &Found) -> Vec<u64> {
    found.results.iter().map(|result| number(result.id())).collect()
}

fn found(state: &Path) -> Found {
    Spool::open(state).unwrap().1
}

/// Creates a temporary folder, in memory if possible. Tests with many files are faster there.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Copies the state folder as a runner would find it after a crash at this moment.
fn crashed(state: &Path) -> TempDir {
    fn copy(from: &Path, to: &Path) {
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                fs::create_dir(&target).unwrap();
                copy(&entry.path(), &target);
            } else {
                fs::copy(entry.path(), target).unwrap();
            }
        }
    }
    let to = folder();
    copy(state, to.path());
    to
}

fn take<T>(from: &mut Vec<T>, at: usize) -> Option<T> {
    (!from.is_empty()).then(|| from.swap_remove(at % from.len()))
}

#[test]
fn start_finds_claims_and_results_in_order() {
    let state = folder();
    let (spool, _) = Spool::open(state.path()).unwrap();
    let _claims: Vec<_> = (1..4).map(|n| claim(&spool, n)).collect();
    let old = claim(&spool, 9).finish(RESULT).unwrap();
    let _new = claim(&spool, 8).finish(RESULT).unwrap();
    let _slot = spool.reserve().unwrap();
    // A result of another host with an early date and a file name that a person chose.
    let text = fs::read_to_string(state.path().join(format!("spool/results/{}.json", old.name()))).unwrap();
    let year = text.find("claimed_at\": \"").unwrap() + 14;
    let ancient = format!("{}1999{}", &text[..year], &text[year + 4..]);
    let ancient = ancient.replacen("\"id\": 9", "\"unknown\": [],\"id\": 5", 1);
    fs::write(state.path().join("spool/results/zz-by-hand.json"), ancient).unwrap();
    let copy = crashed(state.path());
    let found = found(copy.path());
    assert_eq!((claims(&found), results(&found)), (vec![1, 2, 3], vec![5, 9, 8]));
    assert_eq!(found.set_aside, []);
    assert_eq!(
        fs::read_dir(copy.path().join("spool/unfinished")).unwrap().count(),
        0,
        "the reserved slot's file remains"
    );
}

#[test]
fn result_wins_over_claim() {
    let state = folder();
    let (spool, _) = Spool::open(state.path()).unwrap();
    let file = |place: &str, name: &str| state.path().join(format!("spool/{place}/{name}.json"));
    let mut answered = Vec::new();
    for n in [1, 2, 3] {
        let claimed = claim(&spool, n);
        let (name, text) = (claimed.name().to_owned(), fs::read(file("claimed", claimed.name())).unwrap());
        let finished = claimed.finish(RESULT).unwrap();
        if n == 2 {
            finished.reject(400, "no").unwrap();
        }
        fs::write(file("claimed", &name), text).unwrap();
        answered.push(name);
    }
    // An incomplete result does not replace its claim.
    fs::write(file("results", &answered[2]), "{\"id\": 3, \"cla").unwrap();
    let copy = crashed(state.path());
    let found = found(copy.path());
    assert_eq!((claims(&found), results(&found)), (vec![3], vec![1]));
    assert_eq!(found.set_aside.len(), 1);
    assert!(!copy.path().join(format!("spool/claimed/{}.json", answered[1])).exists());
}

#[test]
fn finishes_claim_cut_before_rename() {
    let state = folder();
    let (spool, _) = Spool::open(state.path()).unwrap();
    let text =
        fs::read(state.path().join(format!("spool/claimed/{}.json", claim(&spool, 1).name()))).unwrap();
    drop(spool);
    fs::remove_dir_all(state.path().join("spool")).unwrap();
    let unfinished = state.path().join("spool/unfinished");
    fs::create_dir_all(&unfinished).unwrap();
    let mut padded = text.clone();
    padded.resize(4 << 20, 0);
    fs::write(unfinished.join("whole.claim"), &text).unwrap();
    fs::write(unfinished.join("padded.claim"), padded).unwrap();
    fs::write(unfinished.join("second-way.claimed"), &text).unwrap();
    fs::write(unfinished.join("torn.claim"), &text[..text.len() / 2]).unwrap();
    fs::write(unfinished.join("empty.claim"), "").unwrap();
    fs::write(unfinished.join("slot.claim"), vec![0; 64 << 10]).unwrap();
    fs::write(unfinished.join("cut.results"), "{").unwrap();
    fs::write(unfinished.join("cut.rejected"), "{").unwrap();
    let found = found(state.path());
    assert_eq!(claims(&found), [1, 1, 1]);
    assert_eq!(found.set_aside.len(), 1, "{:?}", found.set_aside);
    assert_eq!(fs::read_dir(unfinished).unwrap().count(), 0);
    let kept = fs::read(state.path().join("spool/claimed/padded.json")).unwrap();
    assert_eq!(kept, text, "the claim keeps its padding");
}

#[test]
fn sets_foreign_files_aside_with_reason() {
    let state = folder();
    let (spool, _) = Spool::open(state.path()).unwrap();
    let (waiting, kept) = (claim(&spool, 1).finish(RESULT).unwrap(), claim(&spool, 2));
    let result = fs::read(state.path().join(format!("spool/results/{}.json", waiting.name()))).unwrap();
    drop((spool, waiting, kept));
    let outside = state.path().join("outside.json");
    fs::write(&outside, &result).unwrap();
    for place in ["claimed", "results"] {
        let folder = state.path().join("spool").join(place);
        let put = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).unwrap();
        put("torn.json", &result[..result.len() - 3]);
        put("empty.json", b"");
        put("binary.json", &[0xff; 9_000]);
        put("wrong-kind.json", if place == "claimed" { &result } else { b"{\"id\":1,\"claim\":{}}" });
        put("README", &result);
        put(".hidden.json", &result);
        put("with space.json", &result);
        put("trailing.json", &[&result[..], b"x"].concat());
        symlink(&outside, folder.join("link.json")).unwrap();
        nix::unistd::mkfifo(&folder.join("pipe.json"), Mode::S_IRWXU).unwrap();
        fs::create_dir_all(folder.join("folder.json/x")).unwrap();
        File::create(folder.join("huge.json")).unwrap().set_len(1 << 40).unwrap();
        std::os::unix::net::UnixListener::bind(folder.join("socket.json")).unwrap();
    }
    // A file of this name has been set aside before.
    fs::write(state.path().join("spool/aside/torn.json"), "older").unwrap();
    let left = found(state.path());
    assert_eq!((claims(&left), results(&left)), (vec![2], vec![1]));
    assert_eq!(left.set_aside.len(), 26, "{:#?}", left.set_aside);
    let mut reasons = BTreeSet::new();
    for (path, reason) in &left.set_aside {
        assert!(
            path.starts_with(state.path().join("spool/aside")) && fs::symlink_metadata(path).is_ok(),
            "{path:?}"
        );
        reasons.insert(reason.as_str());
    }
    // Links, folders, pipes, sockets, too large or incomplete files and odd names have different reasons.
    assert!(reasons.len() >= 6 && !reasons.contains(""), "{reasons:?}");
    assert_eq!(fs::read(&outside).unwrap(), result);
    assert_eq!(fs::read(state.path().join("spool/aside/torn.json")).unwrap(), b"older");
    drop(left);
    assert_eq!(found(state.path()).set_aside, [], "the same files are set aside again");
}

#[test]
fn running_runner_ignores_file_being_copied() {
    let state = folder();
    let (spool, _) = Spool::open(state.path()).unwrap();
    let waiting = claim(&spool, 1).finish(RESULT).unwrap();
    let text = fs::read(state.path().join(format!("spool/results/{}.json", waiting.name()))).unwrap();
    let copy = state.path().join("spool/results/copy.json");
    fs::write(&copy, &text[..50]).unwrap();
    assert!(spool.new_results().unwrap().is_empty());
    fs::write(&copy, &text).unwrap();
    assert_eq!(spool.new_results().unwrap()[0].name(), "copy");
}
