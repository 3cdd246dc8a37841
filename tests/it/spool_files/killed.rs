//! Tests that a process can be killed at any moment of its work on the spool: no entry is lost or invented.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ostest_runner::spool::{Found, MAX_STARTS, Place, Spool, entries};

use super::{RESULT, claims, folder, found, id, number, results, take};

const CHILD: &str = "RUNNER_TEST_SPOOL_CHILD";

/// The actions of the child process. Each line has an action and an id.
#[derive(Default)]
struct Journal(BTreeMap<String, BTreeSet<u64>>);

impl Journal {
    fn read(path: &Path) -> Self {
        let mut journal = Self::default();
        for line in fs::read_to_string(path).unwrap_or_default().lines() {
            let (action, id) = line.split_once(' ').unwrap();
            journal.0.entry(action.to_owned()).or_default().insert(id.parse().unwrap());
        }
        journal
    }

    fn has(&self, action: &str, id: u64) -> bool {
        self.0.get(action).is_some_and(|ids| ids.contains(&id))
    }
}

/// Not a test: the child process of the test below. It works on a spool until it is killed.
#[test]
fn child_to_kill() {
    let Some(folder) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let mut journal = OpenOptions::new().append(true).create(true).open(folder.join("journal")).unwrap();
    let mut note = |action: &str, id: u64| journal.write_all(format!("{action} {id}\n").as_bytes()).unwrap();
    let (spool, found) = Spool::open(&folder.join("state")).unwrap();
    let (mut claimed, mut finished) = (found.claims, found.results);
    for one in &mut claimed {
        one.begin().unwrap();
        note(if one.starts() > 1 { "begun-again" } else { "begun" }, number(one.id()));
    }
    for _ in 0..150 {
        match fastrand::u32(..8) {
            0..3 => {
                let (slot, new) = (spool.reserve().unwrap(), fastrand::u64(..));
                note("claiming", new);
                claimed.push(slot.claim(&id(new), b"{}").unwrap());
                note("claimed", new);
            }
            3..6 => {
                if let Some(one) = take(&mut claimed, fastrand::usize(..)) {
                    let number = number(one.id());
                    finished.push(one.finish(RESULT).unwrap());
                    note("finished", number);
                }
            }
            action => {
                if let Some(one) = take(&mut finished, fastrand::usize(..)) {
                    note("delivering", number(one.id()));
                    if action == 6 { one.delivered().unwrap() } else { drop(one.reject(400, "no").unwrap()) }
                }
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the test kills a child process")]
#[tokio::test]
async fn kill_at_any_time_keeps_claims_exact() {
    let folder = folder();
    let (state, journal) = (folder.path().join("state"), folder.path().join("journal"));
    let mut killed = 0;
    for round in 0..200 {
        let claimed = || fs::read_to_string(&journal).map_or(0, |text| text.matches("\nclaimed ").count());
        let (wanted, started) = (claimed() + fastrand::usize(1..4), Instant::now());
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["spool_files::killed::child_to_kill", "--exact", "--nocapture"])
            .env(CHILD, folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // Every fourth child is killed at once. The others are killed after some claims, however slow the machine is.
        while round % 4 != 0 && claimed() < wanted && started.elapsed() < Duration::from_secs(5) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_micros(fastrand::u64(0..10_000))).await;
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
        assert!(journal.has("claiming", *id), "round {round}: {id} was never claimed");
    }
    for id in journal.0.get("claimed").into_iter().flatten().filter(|id| !journal.has("delivering", **id)) {
        assert!(claims.contains(id) || results.contains(id), "round {round}: {id} is lost");
        assert!(
            !journal.has("finished", *id) || results.contains(id),
            "round {round}: the result of {id} is lost"
        );
    }
    for claim in found.claims.iter().filter(|claim| journal.has("begun-again", number(claim.id()))) {
        assert!(claim.starts() >= MAX_STARTS, "round {round}: a start was not counted");
    }
}
