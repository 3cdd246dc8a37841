//! The spool on real file systems: what a crash, a full disk, or a stranger leaves in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::stat::Mode;
use ostest_runner::spool::{Claimed, Finished, Found, MOST_STARTS, Place, Spool, entries};
use ostest_runner::task::TaskId;
use proptest::prelude::*;
use serde_json::value::RawValue;
use tempfile::TempDir;

use crate::support::SmallDisk;

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

/// In memory where there is such a folder, for what needs many files and no power cut.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

#[test]
fn start_finds_claims_and_results_in_order() {
    let state = folder();
    let (spool, _) = Spool::open(state.path()).unwrap();
    let _claims: Vec<_> = (1..4).map(|n| claim(&spool, n)).collect();
    let old = claim(&spool, 9).finish(RESULT).unwrap();
    let _new = claim(&spool, 8).finish(RESULT).unwrap();
    let _slot = spool.reserve().unwrap();
    // From another host, long ago, and with a name that a person gave it.
    let text = fs::read_to_string(state.path().join(format!("spool/results/{}.json", old.name()))).unwrap();
    let year = text.find("claimed_at\": \"").unwrap() + 14;
    let ancient = format!("{}1999{}", &text[..year], &text[year + 4..]);
    let ancient = ancient.replacen("\"id\": 9", "\"unknown\": [],\"id\": 5", 1);
    fs::write(state.path().join("spool/results/zz-by-hand.json"), ancient).unwrap();
    let copy = crashed(state.path());
    let found = found(copy.path());
    assert_eq!((claims(&found), results(&found)), (vec![1, 2, 3], vec![5, 9, 8]));
    assert_eq!(found.set_aside, []);
    assert_eq!(fs::read_dir(copy.path().join("spool/unfinished")).unwrap().count(), 0, "the slot is gone");
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
    // A result that is torn answers nothing.
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
    assert_eq!(kept, text, "the reserved room is gone");
}

#[test]
fn sets_foreign_files_aside_with_reason() {
    let state = folder();
    let (spool, _) = Spool::open(state.path()).unwrap();
    let (waits, kept) = (claim(&spool, 1).finish(RESULT).unwrap(), claim(&spool, 2));
    let result = fs::read(state.path().join(format!("spool/results/{}.json", waits.name()))).unwrap();
    drop((spool, waits, kept));
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
    // It is in the way already.
    fs::write(state.path().join("spool/aside/torn.json"), "older").unwrap();
    let left = found(state.path());
    assert_eq!((claims(&left), results(&left)), (vec![2], vec![1]));
    assert_eq!(left.set_aside.len(), 26, "{:#?}", left.set_aside);
    let mut whys = BTreeSet::new();
    for (path, why) in &left.set_aside {
        assert!(
            path.starts_with(state.path().join("spool/aside")) && fs::symlink_metadata(path).is_ok(),
            "{path:?}"
        );
        whys.insert(why.as_str());
    }
    // Links, folders, pipes, sockets, files too large or torn, odd names: each has a reason of its own.
    assert!(whys.len() >= 6 && !whys.contains(""), "{whys:?}");
    assert_eq!(fs::read(&outside).unwrap(), result);
    assert_eq!(fs::read(state.path().join("spool/aside/torn.json")).unwrap(), b"older");
    drop(left);
    assert_eq!(found(state.path()).set_aside, [], "only once");
}

#[test]
fn running_runner_ignores_file_being_copied() {
    let state = folder();
    let (spool, _) = Spool::open(state.path()).unwrap();
    let waits = claim(&spool, 1).finish(RESULT).unwrap();
    let text = fs::read(state.path().join(format!("spool/results/{}.json", waits.name()))).unwrap();
    let copy = state.path().join("spool/results/copy.json");
    fs::write(&copy, &text[..50]).unwrap();
    assert!(spool.new_results().unwrap().is_empty());
    fs::write(&copy, &text).unwrap();
    assert_eq!(spool.new_results().unwrap()[0].name(), "copy");
}

#[test]
fn full_disk_stops_claims_without_loss() {
    let Some(disk) = SmallDisk::new("24M") else { return };
    let (spool, _) = Spool::open(disk.path()).unwrap();
    let (slot, refused) = (spool.reserve().unwrap(), claim(&spool, 2).finish(RESULT).unwrap());
    let fills = disk.fill();
    // It tells before the question. And where the disk has filled up since the question, the largest claim has room.
    assert_eq!(slot.check().unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(spool.reserve().unwrap_err().kind(), ErrorKind::StorageFull);
    let body = format!("{{\"x\":\"{}\"}}", "x".repeat((4 << 20) - 8));
    let mut claimed = slot.claim(&id(1), body.as_bytes()).unwrap();
    assert_eq!(claimed.begin().unwrap(), 1);
    let more = disk.fill();
    let result = format!("{{\"x\":\"{}\"}}", "x".repeat(1 << 20));
    for _ in 0..3 {
        let (back, error) = claimed.finish(result.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
        claimed = back;
    }
    // What is refused is kept even so, without the answer.
    assert!(refused.reject(400, "no").unwrap().exists());
    fs::remove_file(fills).unwrap();
    fs::remove_file(more).unwrap();
    spool.reserve().unwrap().check().unwrap();
    let finished = claimed.finish(result.as_bytes()).unwrap();
    assert_eq!(finished.body().unwrap(), result.as_bytes());
    finished.delivered().unwrap();
    assert_eq!(fs::read_dir(disk.path().join("spool/unfinished")).unwrap().count(), 0);
}

#[test]
fn read_only_folder_stops_claims_without_loss() {
    let Some(disk) = SmallDisk::new("24M") else { return };
    let (spool, _) = Spool::open(disk.path()).unwrap();
    let delivered = claim(&spool, 1).finish(RESULT).unwrap();
    let (waits, claimed) = (claim(&spool, 2).finish(RESULT).unwrap(), claim(&spool, 3));
    let slot = spool.reserve().unwrap();
    let read_only = disk.read_only("spool");
    assert_eq!(slot.check().unwrap_err().kind(), ErrorKind::ReadOnlyFilesystem);
    assert_eq!(spool.reserve().unwrap_err().kind(), ErrorKind::ReadOnlyFilesystem);
    let (slot, error) = slot.claim(&id(4), b"{}").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReadOnlyFilesystem);
    let (claimed, error) = claimed.finish(RESULT).unwrap_err();
    assert!(error.to_string().contains("Read-only file system"), "{error}");
    assert!(delivered.delivered().is_err());
    assert_eq!(spool.new_results().unwrap().len(), 0, "what the backend has is not sent again and again");
    assert_eq!(waits.body().unwrap(), RESULT);
    drop(read_only);
    let _four = slot.claim(&id(4), b"{}").unwrap();
    let _three = claimed.finish(RESULT).unwrap();
    let copy = crashed(disk.path());
    let left = found(copy.path());
    assert_eq!((claims(&left), results(&left)), (vec![4], vec![1, 2, 3]));
    // And at a start.
    let _read_only = disk.read_only("");
    let error = format!("{:#}", anyhow::Error::from(Spool::open(disk.path()).unwrap_err()));
    assert!(error.contains("Read-only file system") && error.contains("runner.lock"), "{error}");
    assert_eq!(entries(disk.path()).unwrap().len(), 4);
}

/// What is on the disk just now, as the next runner would find it after a crash.
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

#[derive(Debug, Clone, Copy)]
enum Step {
    Claim,
    Begin(usize),
    PutBack(usize),
    Finish(usize),
    Deliver(usize),
    Reject(usize),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Claim),
        1 => any::<usize>().prop_map(Step::Begin),
        1 => any::<usize>().prop_map(Step::PutBack),
        2 => any::<usize>().prop_map(Step::Finish),
        1 => any::<usize>().prop_map(Step::Deliver),
        1 => any::<usize>().prop_map(Step::Reject),
        1 => Just(Step::Restart),
    ]
}

fn take<T>(from: &mut Vec<T>, at: usize) -> Option<T> {
    (!from.is_empty()).then(|| from.swap_remove(at % from.len()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// After every step a crash finds the very claims and results that there were, with their starts.
    #[test]
    fn a_crash_between_any_two_steps_finds_what_there_was(steps in proptest::collection::vec(step(), 1..25)) {
        let state = folder();
        let (mut spool, _) = Spool::open(state.path()).unwrap();
        let (mut claimed, mut finished, mut next) = (Vec::<Claimed>::new(), Vec::<Finished>::new(), 0);
        let mut put_back = BTreeMap::new();
        for step in steps {
            match step {
                Step::Claim => {
                    next += 1;
                    claimed.push(claim(&spool, next));
                }
                Step::Begin(at) => if let Some(mut one) = take(&mut claimed, at) {
                    one.begin().unwrap();
                    claimed.push(one);
                },
                Step::PutBack(at) => if let Some(one) = take(&mut claimed, at) {
                    put_back.insert(number(one.id()), one.starts().saturating_sub(1));
                    one.put_back().unwrap();
                },
                Step::Finish(at) => if let Some(one) = take(&mut claimed, at) {
                    finished.push(one.finish(RESULT).unwrap());
                },
                Step::Deliver(at) => if let Some(one) = take(&mut finished, at) { one.delivered().unwrap() },
                Step::Reject(at) => if let Some(one) = take(&mut finished, at) { drop(one.reject(400, "no").unwrap()) },
                Step::Restart => {
                    drop((spool, std::mem::take(&mut claimed), std::mem::take(&mut finished)));
                    let found;
                    (spool, found) = Spool::open(state.path()).unwrap();
                    (claimed, finished) = (found.claims, found.results);
                    put_back.clear();
                }
            }
            let mut expected = put_back.clone();
            expected.extend(claimed.iter().map(|one| (number(one.id()), one.starts())));
            let copy = crashed(state.path());
            let left = found(copy.path());
            let starts: BTreeMap<_, _> = left.claims.iter().map(|one| (number(one.id()), one.starts())).collect();
            prop_assert_eq!(starts, expected);
            let (mut there, mut had) = (results(&left), finished.iter().map(|one| number(one.id())).collect::<Vec<_>>());
            there.sort_unstable();
            had.sort_unstable();
            prop_assert_eq!(there, had);
            prop_assert_eq!(left.set_aside, []);
        }
    }
}

const CHILD: &str = "RUNNER_TEST_SPOOL_CHILD";

/// What the child did, as far as it could say so: a word and an id a line.
#[derive(Default)]
struct Journal(BTreeMap<String, BTreeSet<u64>>);

impl Journal {
    fn read(path: &Path) -> Self {
        let mut journal = Self::default();
        for line in fs::read_to_string(path).unwrap_or_default().lines() {
            let (word, id) = line.split_once(' ').unwrap();
            journal.0.entry(word.to_owned()).or_default().insert(id.parse().unwrap());
        }
        journal
    }

    fn has(&self, word: &str, id: u64) -> bool {
        self.0.get(word).is_some_and(|ids| ids.contains(&id))
    }
}

/// Not a test of its own: works on the spool that it is given until it is killed.
#[test]
fn child_to_kill() {
    let Some(folder) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let mut journal = OpenOptions::new().append(true).create(true).open(folder.join("journal")).unwrap();
    let mut say = |word: &str, id: u64| journal.write_all(format!("{word} {id}\n").as_bytes()).unwrap();
    let (spool, found) = Spool::open(&folder.join("state")).unwrap();
    let (mut claimed, mut finished) = (found.claims, found.results);
    for one in &mut claimed {
        one.begin().unwrap();
        say(if one.starts() > 1 { "begun-again" } else { "begun" }, number(one.id()));
    }
    for _ in 0..150 {
        match fastrand::u32(..8) {
            0..3 => {
                let (slot, new) = (spool.reserve().unwrap(), fastrand::u64(..));
                say("asked", new);
                claimed.push(slot.claim(&id(new), b"{}").unwrap());
                say("claimed", new);
            }
            3..6 => {
                if let Some(one) = take(&mut claimed, fastrand::usize(..)) {
                    let number = number(one.id());
                    finished.push(one.finish(RESULT).unwrap());
                    say("finished", number);
                }
            }
            word => {
                if let Some(one) = take(&mut finished, fastrand::usize(..)) {
                    say("delivering", number(one.id()));
                    if word == 6 { one.delivered().unwrap() } else { drop(one.reject(400, "no").unwrap()) }
                }
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a process of its own is what can be killed")]
#[tokio::test]
async fn kill_at_any_time_keeps_claims_exact() {
    let folder = folder();
    let (state, journal) = (folder.path().join("state"), folder.path().join("journal"));
    let mut killed = 0;
    for round in 0..200 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["spool_files::child_to_kill", "--exact", "--nocapture"])
            .env(CHILD, folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        tokio::time::sleep(Duration::from_micros(fastrand::u64(2_000..25_000))).await;
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert!(status.success() || status.code().is_none(), "round {round}: the child failed");
        killed += u32::from(status.code().is_none());
        check(&found(&state), &entries(&state).unwrap(), &Journal::read(&journal), round);
    }
    let done = Journal::read(&journal);
    assert!(
        killed > 100 && done.0["claimed"].len() > 200,
        "{killed} killed, {} claimed",
        done.0["claimed"].len()
    );
}

fn check(found: &Found, entries: &[ostest_runner::spool::Entry], journal: &Journal, round: u32) {
    assert_eq!(found.set_aside, [], "round {round}");
    let claims: BTreeSet<_> = claims(found).into_iter().collect();
    let results: BTreeSet<_> = results(found).into_iter().collect();
    assert!(claims.is_disjoint(&results), "round {round}");
    let rejected = entries.iter().filter(|entry| entry.place == Place::Rejected);
    let rejected: BTreeSet<_> = rejected.filter_map(|entry| entry.id.as_ref().map(number)).collect();
    for id in claims.iter().chain(&results).chain(&rejected) {
        assert!(journal.has("asked", *id), "round {round}: {id} was never asked for");
    }
    for id in journal.0.get("claimed").into_iter().flatten().filter(|id| !journal.has("delivering", **id)) {
        assert!(claims.contains(id) || results.contains(id), "round {round}: {id} is lost");
        assert!(
            !journal.has("finished", *id) || results.contains(id),
            "round {round}: the result of {id} is lost"
        );
    }
    for claim in found.claims.iter().filter(|claim| journal.has("begun-again", number(claim.id()))) {
        assert!(claim.starts() >= MOST_STARTS, "round {round}: a start was not counted");
    }
}
