//! Tests of full and read-only disks, and of random sequences of actions with a crash after each action.

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
    let filler = disk.fill();
    // The spool reports the full disk before the claim request. A reserved slot has room for the largest claim.
    assert_eq!(slot.check().unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(spool.reserve().unwrap_err().kind(), ErrorKind::StorageFull);
    let body = format!("{{\"x\":\"{}\"}}", "x".repeat((4 << 20) - 8));
    let mut claimed = slot.claim(&id(1), body.as_bytes()).unwrap();
    assert_eq!(claimed.begin().unwrap(), 1);
    let second_filler = disk.fill();
    let result = format!("{{\"x\":\"{}\"}}", "x".repeat(1 << 20));
    for _ in 0..3 {
        let (back, error) = claimed.finish(result.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
        claimed = back;
    }
    // A refused result is kept even now, without the backend's answer.
    assert!(refused.reject(400, "no").unwrap().exists());
    fs::remove_file(filler).unwrap();
    fs::remove_file(second_filler).unwrap();
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
    let (waiting, claimed) = (claim(&spool, 2).finish(RESULT).unwrap(), claim(&spool, 3));
    let slot = spool.reserve().unwrap();
    let read_only = disk.read_only("spool");
    assert_eq!(slot.check().unwrap_err().kind(), ErrorKind::ReadOnlyFilesystem);
    assert_eq!(spool.reserve().unwrap_err().kind(), ErrorKind::ReadOnlyFilesystem);
    let (slot, error) = slot.claim(&id(4), b"{}").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReadOnlyFilesystem);
    let (claimed, error) = claimed.finish(RESULT).unwrap_err();
    assert!(error.to_string().contains("Read-only file system"), "{error}");
    assert!(delivered.delivered().is_err());
    assert_eq!(spool.new_results().unwrap().len(), 0, "a delivered result would be sent again");
    assert_eq!(waiting.body().unwrap(), RESULT);
    drop(read_only);
    let _four = slot.claim(&id(4), b"{}").unwrap();
    let _three = claimed.finish(RESULT).unwrap();
    let copy = crashed(disk.path());
    let left = found(copy.path());
    assert_eq!((claims(&left), results(&left)), (vec![4], vec![1, 2, 3]));
    // Opening the spool fails, too.
    let _read_only = disk.read_only("");
    let error = format!("{:#}", anyhow::Error::from(Spool::open(disk.path()).unwrap_err()));
    assert!(error.contains("Read-only file system") && error.contains("runner.lock"), "{error}");
    assert_eq!(entries(disk.path()).unwrap().len(), 4);
}

#[derive(Debug, Clone, Copy)]
enum Action {
    Claim,
    Begin(usize),
    PutBack(usize),
    Finish(usize),
    Deliver(usize),
    Reject(usize),
    Restart,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        3 => Just(Action::Claim),
        1 => any::<usize>().prop_map(Action::Begin),
        1 => any::<usize>().prop_map(Action::PutBack),
        2 => any::<usize>().prop_map(Action::Finish),
        1 => any::<usize>().prop_map(Action::Deliver),
        1 => any::<usize>().prop_map(Action::Reject),
        1 => Just(Action::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// After each action a restart finds exactly the claims and results that exist, with their numbers of starts.
    #[test]
    fn crash_after_any_action_loses_nothing(actions in proptest::collection::vec(action(), 1..25)) {
        let state = folder();
        let (mut spool, _) = Spool::open(state.path()).unwrap();
        let (mut claimed, mut finished, mut next) = (Vec::<Claimed>::new(), Vec::<Finished>::new(), 0);
        let mut put_back = BTreeMap::new();
        for action in actions {
            match action {
                Action::Claim => {
                    next += 1;
                    claimed.push(claim(&spool, next));
                }
                Action::Begin(at) => if let Some(mut one) = take(&mut claimed, at) {
                    one.begin().unwrap();
                    claimed.push(one);
                },
                Action::PutBack(at) => if let Some(one) = take(&mut claimed, at) {
                    put_back.insert(number(one.id()), one.starts().saturating_sub(1));
                    one.put_back().unwrap();
                },
                Action::Finish(at) => if let Some(one) = take(&mut claimed, at) {
                    finished.push(one.finish(RESULT).unwrap());
                },
                Action::Deliver(at) => if let Some(one) = take(&mut finished, at) { one.delivered().unwrap() },
                Action::Reject(at) => if let Some(one) = take(&mut finished, at) { drop(one.reject(400, "no").unwrap()) },
                Action::Restart => {
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
            let (mut found_results, mut expected_results) = (results(&left), finished.iter().map(|one| number(one.id())).collect::<Vec<_>>());
            found_results.sort_unstable();
            expected_results.sort_unstable();
            prop_assert_eq!(found_results, expected_results);
            prop_assert_eq!(left.set_aside, []);
        }
    }
}
