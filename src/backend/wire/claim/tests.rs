use super::{Claim, claim};
use crate::task::Task;
use report::{Cause, Progress};

fn of(body: &str) -> Claim {
    claim(200, body.as_bytes())
}

/// A claim that has all it needs, with more fields.
fn with(id: &str, more: &str) -> String {
    format!(r#"{{"id":{id},"repositoryUrl":"https://h/r.git","branch":"main"{more}}}"#)
}

fn task_of(body: &str) -> Task {
    match of(body) {
        Claim::Task(task) => task,
        other => panic!("{body} became {other:?}"),
    }
}

fn unusable(body: &str) -> (String, String) {
    match of(body) {
        Claim::Unusable { id, fault } => {
            assert_eq!((fault.progress, fault.cause), (Progress::Claim, Cause::Task));
            (id.raw().get().to_owned(), fault.message)
        }
        other => panic!("{body} became {other:?}"),
    }
}

#[test]
fn parses_example_of_reference_document() {
    let task = task_of(
        r#"{
            "status": "AVAILABLE",
            "id": 21,
            "repositoryUrl": "https://github.com/os-nsu/proxy-grisha.git",
            "branch": "main",
            "laboratoryNumber": 1,
            "connectedTests": ["test1", "test2"]
        }"#,
    );
    assert_eq!(task.id.raw().get(), "21");
    assert_eq!(task.repository_url, "https://github.com/os-nsu/proxy-grisha.git");
    assert_eq!((task.branch.as_deref().unwrap(), task.laboratories, task.tests.len()), ("main", vec![1], 2));
}

#[test]
fn id_round_trips_byte_for_byte() {
    for id in [
        "12345678901234567890123",
        "1.0",
        r#""a\u0041""#,
        r#"{"a": [1,  2]}"#,
        "-0",
        "1E400",
        "true",
        "\"\"",
        r#""\ud800""#,
    ] {
        assert_eq!(task_of(&with(id, "")).id.raw().get(), id);
    }
}

#[test]
fn recognizes_every_form_of_no_task() {
    for body in [
        "",
        " \r\n",
        "null",
        "{}",
        r#"{"status":"UNAVAILABLE"}"#,
        r#"{"status":"UNAVAILABLE","id":1,"repositoryUrl":"u","branch":"b"}"#,
        r#"{"status":null,"id":null,"message":"none"}"#,
    ] {
        assert_eq!(of(body), Claim::NoWork, "{body}");
    }
    assert_eq!(claim(204, b"junk"), Claim::NoWork);
    assert_eq!(claim(404, b"<html>"), Claim::NotFound);
}

#[test]
fn laboratories_may_be_number_list_or_absent() {
    for (given, expected) in [
        ("", &[][..]),
        (r#","laboratoryNumber":null"#, &[]),
        (r#","laboratoryNumber":[]"#, &[]),
        (r#","laboratoryNumber":3"#, &[3]),
        (r#","laboratoryNumber":[1,2,null]"#, &[1, 2]),
        (r#","laboratoryNumber":[1.0,"2"]"#, &[1, 2]),
        (r#","laboratoryNumber":9,"laboratoryNumber":4"#, &[4]),
    ] {
        assert_eq!(task_of(&with("1", given)).laboratories, expected, "{given}");
    }
    for wrong in ["1.5", "-1", "true", "\"one\"", "\"\"", "{}", "[[1]]", "4294967296", "1e99"] {
        let (id, message) = unusable(&with("\"x\"", &format!(",\"laboratoryNumber\":{wrong}")));
        assert_eq!(id, "\"x\"");
        assert!(message.contains("`laboratoryNumber` is") && message.contains(wrong), "{message}");
    }
}

#[test]
fn parses_connected_tests() {
    for (given, expected) in [
        ("", &[][..]),
        (r#","connectedTests":null"#, &[]),
        (r#","connectedTests":[]"#, &[]),
        (r#","connectedTests":["a[2-SIGINT]",""," ","b"]"#, &["a[2-SIGINT]", "b"]),
    ] {
        assert_eq!(task_of(&with("1", given)).tests, expected, "{given}");
    }
    for wrong in ["\"a\"", "[1]", "{}", "5"] {
        let (_, message) = unusable(&with("1", &format!(",\"connectedTests\":{wrong}")));
        assert!(
            message.contains("`connectedTests` is") && message.contains("a list of strings"),
            "{message}"
        );
    }
}

#[test]
fn malformed_task_keeps_its_id() {
    for (body, says) in [
        (r#"{"id":7}"#, "`repositoryUrl` is missing"),
        (r#"{"id":7,"repositoryUrl":"u"}"#, "`branch` is missing"),
        (r#"{"id":7,"repositoryUrl":" ","branch":"b"}"#, "`repositoryUrl` is empty"),
        (r#"{"id":7,"repositoryUrl":"u","branch":null}"#, "`branch` is missing"),
        (r#"{"id":7,"repositoryUrl":5,"branch":"b"}"#, "`repositoryUrl` is 5, expected a string"),
        (r#"{"id":7,"repositoryUrl":"u","branch":"b","status":[]}"#, "`status` is []"),
        (r#"{"id":7,"repositoryUrl":"u","bran"#, "not a JSON"),
        (r#"{"id":7,"repositoryUrl":"u","branch":"b"} trailing"#, "not a JSON"),
        (r#"{"id":7,"#, "not a JSON"),
        (r#"{"id":7,}"#, "not a JSON"),
        (r#"{"repositoryUrl":"u","id":7 "#, "not a JSON"),
        (r#"{"x":"\"id\":998,","id":7,"re"#, "not a JSON"),
    ] {
        let (id, message) = unusable(body);
        assert_eq!(id, "7");
        assert!(message.contains(says), "{body}: {message}");
    }
}

#[test]
fn response_without_id_is_unanswerable() {
    for body in [
        "<html>",
        "[]",
        "21",
        r#"{"status":"AVAILABLE"}"#,
        r#"{"repositoryUrl":"u","branch":"b"}"#,
        r#"{"id":null,"branch":"b"}"#,
        r#"{"id":12"#,
        r#"{"id":"ab"#,
        "{\"id\"",
    ] {
        let Claim::Unanswerable { reason } = of(body) else { panic!("{body} became {:?}", of(body)) };
        assert!(!reason.contains('\n'), "{reason}");
    }
    assert!(matches!(claim(500, b"{}"), Claim::Unanswerable { .. }));
}

#[test]
fn tolerates_mark_unknown_fields_and_bad_bytes() {
    let body = format!("\u{feff}{}", with("1", r#","createdAt":{"a":[1]},"x":null"#));
    assert_eq!(task_of(&body).branch.as_deref(), Some("main"));
    let deep = format!(r#","x":{}{}"#, "[".repeat(5_000), "]".repeat(5_000));
    assert_eq!(task_of(&with("1", &deep)).branch.as_deref(), Some("main"));
    let mut bytes = with("1", r#","x":"?""#).into_bytes();
    let at = bytes.iter().position(|&b| b == b'?').unwrap();
    bytes[at] = 0xFF;
    assert!(matches!(claim(200, &bytes), Claim::Task(_)));
}
