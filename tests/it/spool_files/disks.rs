//! Disks that are full or read-only, and any order of steps with a crash after each.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;

use ostest_runner::spool::{Claimed, Finished, Spool, entries};
use proptest::prelude::*;

use crate::support::SmallDisk;

use super::{RESULT, claim, claims, crashed, folder, found, id, number, results, take};

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
