use std::io;
use std::path::Path;

use super::*;
use crate::spool::{Finished, Spool};
use crate::task::TaskId;
use serde_json::value::RawValue;

fn spooled(spool: &Spool, id: &str) -> crate::spool::Claimed {
    let id = TaskId::new(RawValue::from_string(id.to_owned()).unwrap());
    let body = r#"{"repositoryUrl":"https:\/\/me:secret@host\/x.git","n":1e400}"#;
    spool.reserve().unwrap().claim(&id, body.as_bytes()).unwrap()
}

fn finished(spool: &Spool, id: &str) -> Finished {
    spooled(spool, id).finish(br#"{"isPassed":true,"testResults":[]}"#).unwrap()
}

fn spool_of(state: &Path, command: &SpoolCommand) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = run(state, command, &mut out, &mut err).unwrap();
    (exit.code(), String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

fn which(id: &str) -> Which {
    Which { id: Some(id.to_owned()), all: false }
}

const ALL: Which = Which { id: None, all: true };

#[test]
fn list_shows_every_state_and_keeps_ids() {
    let state = tempfile::tempdir().unwrap();
    let list = |json| spool_of(state.path(), &SpoolCommand::List { json });
    let (spool, _) = Spool::open(state.path()).unwrap();
    let empty = format!("the spool in {} is empty\n", state.path().display());
    assert_eq!(list(false), (0, empty, String::new()));
    assert_eq!(list(true).1, "[]\n");
    let _claim = spooled(&spool, "1.50");
    let _waits = finished(&spool, "\"uuid-2\"");
    finished(&spool, "3").reject(400, "no\nsuch \u{1b}[31mattempt").unwrap();
    std::fs::write(state.path().join("spool/aside/\u{1b}x"), "").unwrap();
    std::fs::write(state.path().join("spool/results/torn.json"), "{").unwrap();
    let (code, table, _) = list(false);
    assert_eq!(code, 0);
    for row in [
        "  claimed  ",
        "  waiting  ",
        "  aside  ",
        "started 1 times",
        "success",
        "refused with 400: no such attempt",
        "set aside",
        "not a result of the spool",
    ] {
        assert!(table.contains(row), "{row}: {table}");
    }
    assert!(!table.contains('\u{1b}') && table.lines().count() == 6, "{table}");
    let json = list(true).1;
    let lines: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
    assert_eq!(lines.len(), 5);
    assert!(json.contains("\"id\":1.50,") && json.contains("\"id\":\"uuid-2\""), "{json}");
    assert_eq!(lines[3]["status"], 400);
}

#[test]
fn shows_file_indented_and_without_passwords() {
    let state = tempfile::tempdir().unwrap();
    let (spool, _) = Spool::open(state.path()).unwrap();
    let _claim = spooled(&spool, "\"abc\"");
    let (code, shown, _) = spool_of(state.path(), &SpoolCommand::Show { id: "ab".to_owned() });
    assert_eq!(code, 0);
    assert!(
        shown.contains("    \"repositoryUrl\": \"https://***@host/x.git\",\n    \"n\": 1e400\n"),
        "{shown}"
    );
}

#[test]
fn retries_refused_result_beside_running_runner() {
    let state = tempfile::tempdir().unwrap();
    let (spool, _) = Spool::open(state.path()).unwrap();
    for id in ["1", "2"] {
        finished(&spool, id).reject(422, "no").unwrap();
    }
    let (code, out, _) = spool_of(state.path(), &SpoolCommand::Retry(which("1")));
    assert_eq!((code, out.ends_with("(task 1) is sent again\n")), (0, true), "{out}");
    assert_eq!(spool.new_results().unwrap()[0].id().raw().get(), "1");
    assert_eq!(spool_of(state.path(), &SpoolCommand::Retry(ALL)).0, 0);
    assert_eq!(spool.depth().unwrap().results, 2);
    let (code, _, err) = spool_of(state.path(), &SpoolCommand::Retry(which("1")));
    assert_eq!((code, err.contains("waits for its delivery already")), (1, true), "{err}");
    assert_eq!(spool_of(state.path(), &SpoolCommand::Retry(ALL)).0, 1);
}

#[test]
fn finds_id_as_a_person_writes_it() {
    let state = tempfile::tempdir().unwrap();
    let (spool, _) = Spool::open(state.path()).unwrap();
    for id in [r#""\u00e9""#, r#""caf\u00e9 \"1\"""#] {
        finished(&spool, id).reject(422, "no").unwrap();
    }
    for id in ["é", "café \"1\""] {
        let (code, _, err) = spool_of(state.path(), &SpoolCommand::Retry(which(id)));
        assert_eq!(code, 0, "{id}: {err}");
    }
}

#[test]
fn drops_everything_but_claims_of_running_runner() {
    let state = tempfile::tempdir().unwrap();
    let (spool, _) = Spool::open(state.path()).unwrap();
    let claim = spooled(&spool, "7");
    let waits = finished(&spool, "8");
    let drop_it = |id| spool_of(state.path(), &SpoolCommand::Drop(which(id)));
    let (code, _, err) = drop_it("7");
    assert_eq!(code, 1);
    assert!(err.contains(&format!("process {}", std::process::id())) && err.lines().count() == 1, "{err}");
    assert_eq!(drop_it("8").0, 0);
    assert_eq!(waits.body().unwrap_err().kind(), io::ErrorKind::NotFound);
    waits.delivered().unwrap();
    drop((spool, claim));
    let (code, out, _) = drop_it("7");
    assert_eq!((code, out.contains("(task 7) is removed")), (0, true), "{out}");
    assert!(Spool::open(state.path()).unwrap().1.claims.is_empty());
}

#[test]
fn reports_missing_and_ambiguous_entries() {
    let state = tempfile::tempdir().unwrap();
    let (spool, _) = Spool::open(state.path()).unwrap();
    let _claims = [spooled(&spool, "70"), spooled(&spool, "71")];
    for (id, says) in [("7", "means 2 entries"), ("9", "nothing in the spool"), ("", "nothing in the spool")]
    {
        let (code, _, err) = spool_of(state.path(), &SpoolCommand::Show { id: id.to_owned() });
        assert_eq!((code, err.contains(says)), (1, true), "{id}: {err}");
    }
    let nowhere = state.path().join("nowhere");
    let (code, _, err) = spool_of(&nowhere, &SpoolCommand::List { json: false });
    assert_eq!((code, err.contains("nowhere")), (2, true), "{err}");
    assert!(!nowhere.exists(), "listing must not make the folder");
}
