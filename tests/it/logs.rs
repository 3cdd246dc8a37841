//! Tests of the log's formats: JSON, text, and the prefixes of the journal.

use std::path::{Path, PathBuf};

use mock_backend::Settings;
use serde_json::{Value, json};

use crate::support::{PASS, World, command, eventually, have, student};

#[tokio::test]
async fn json_lines_have_task_id_and_seconds() {
    let world = World::with(Settings::default(), &["--log-format", "json"]).await;
    let hostile = "a\"b\\c\n</x>";
    let repository = student(&world.fresh("student"), PASS);
    let claim = serde_json::json!({"id": hostile, "status": "PENDING", "repositoryUrl": repository.url(),
        "branch": "main", "laboratories": [], "connectedTests": []});
    world.backend.submit_raw(claim.to_string());
    let world = &world;
    world.runner.logs("result_delivered").await;
    let log = world.runner.log();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
        assert!(line["message"].is_string(), "{line}");
        let level = line["level"].as_str().unwrap();
        assert!(["debug", "info", "warning", "error", "critical"].contains(&level), "{line}");
    }
    // The log has lines of the git child process as well as of the worker.
    let find = |event: &str| lines.iter().rfind(|line| line["event"] == event).unwrap();
    let id = find("task_started")["task.id"].clone();
    assert_eq!(id, hostile);
    for event in ["task_ended", "checked_out", "result_delivered"] {
        assert_eq!(find(event)["task.id"], id, "{event}");
        let elapsed = find(event)["elapsed"].as_f64().unwrap();
        assert!(elapsed > 0.0 && elapsed < 20.0, "{event}: {elapsed}");
    }
    assert_eq!(find("checked_out")["progress"], "checkout");
    assert_eq!(find("runner_started")["state"], world.folder().join("state").display().to_string());
    assert_eq!(find("sandbox_chosen")["field.level"], "none");
}

#[tokio::test]
async fn journal_lines_start_with_priority() {
    use std::os::unix::fs::MetadataExt;
    for (off_by, format, beginnings) in
        [(0, "text", ["<6>2", "<4>2"]), (1, "text", ["2", "2"]), (0, "json", ["{", "{"])]
    {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("stream");
        let stream = std::fs::File::create(&path).unwrap();
        let meta = stream.metadata().unwrap();
        let mut runner = command(home.path());
        runner.env("JOURNAL_STREAM", format!("{}:{}", meta.dev(), meta.ino() + off_by)).stdout(stream);
        runner.args([
            "--mock",
            "--sandbox",
            "none",
            "--backend-url",
            "http://127.0.0.1:1",
            "--log-format",
            format,
        ]);
        let mut runner = runner.spawn().unwrap();
        let log = || std::fs::read_to_string(&path).unwrap();
        // The levels as the text format and the JSON format write them.
        let levels = if format == "json" { ["\"info\"", "\"warning\""] } else { [" INFO ", " WARN "] };
        eventually("a warning is logged", || log().contains(levels[1])).await;
        runner.kill().unwrap();
        runner.wait().unwrap();
        for (level, beginning) in levels.into_iter().zip(beginnings) {
            let log = log();
            let line = log.lines().find(|line| line.contains(level)).unwrap();
            assert!(line.starts_with(beginning), "{line}");
        }
    }
}

/// The two commands of docs/metrics.md that select one task's lines: for the text format and for JSON.
fn documented() -> [String; 2] {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md")).unwrap();
    let (_, after) = page.split_once("A task's own log, by its id:").unwrap();
    let mut lines =
        after.lines().filter_map(|line| line.strip_prefix("    journalctl -u ostest-runner -o cat"));
    [lines.next().unwrap(), lines.next().unwrap()].map(|line| format!("cat \"$LOG\"{line}"))
}

#[tokio::test]
async fn documented_command_finds_lines_of_one_task() {
    if !have("jq", "jq") {
        return;
    }
    let long_prefix = "x".repeat(200);
    let ids = [
        json!(1),
        json!("b1"),
        json!("11"),
        json!(format!("{long_prefix}1")),
        json!(format!("{long_prefix}2")),
        json!("a\"b\\c"),
    ];
    for (format, command) in ["text", "json"].into_iter().zip(documented()) {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log").display().to_string();
        let world =
            World::with(Settings::default(), &["--log-format", format, "--logger-output", &log]).await;
        for id in &ids {
            let repository = student(&world.fresh("student"), PASS);
            let claim = json!({"id": id, "status": "PENDING", "repositoryUrl": repository.url(), "branch": "main",
                "laboratories": [], "connectedTests": []});
            world.backend.submit_raw(claim.to_string());
        }
        let read = || std::fs::read_to_string(&log).unwrap_or_default();
        let delivered = || read().lines().filter(|line| line.contains("attempts")).count();
        eventually("all results are delivered", || delivered() == ids.len()).await;
        let text = read();
        let mut found = 0;
        for id in &ids {
            let plain = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
            #[expect(clippy::disallowed_methods, reason = "the documented command needs a shell")]
            let mut shell = std::process::Command::new("bash");
            let output = shell.args(["-c", &command]).env("LOG", &log).env("ID", &plain).output().unwrap();
            let lines = String::from_utf8(output.stdout).unwrap();
            // Each of these fields appears in one line only: start, end and delivery.
            let has = |field: &str| lines.lines().filter(|line| line.contains(field)).count();
            assert_eq!(
                (has("laboratories"), has("verdict"), has("attempts")),
                (1, 1, 1),
                "{plain}: {lines}\n{text}"
            );
            found += lines.lines().count();
        }
        let about = text.lines().filter(|line| line.contains("task.id")).count();
        assert_eq!(found, about, "{format}: the commands do not find each line exactly once\n{text}");
    }
}

/// All files below `folder`.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

#[test]
fn every_log_line_has_a_documented_event() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/metrics.md")).unwrap();
    for path in
        sources(&root.join("src")).iter().filter(|path| path.extension().is_some_and(|end| end == "rs"))
    {
        let text = std::fs::read_to_string(path).unwrap();
        for level in ["debug", "info", "warn", "error"] {
            for call in text.split(&format!("tracing::{level}!(")).skip(1) {
                let name = call.trim_start().strip_prefix("name: \"").and_then(|rest| rest.split_once('"'));
                let (name, _) = name.unwrap_or_else(|| panic!("{}: no name: {:.80}", path.display(), call));
                assert!(page.contains(&format!("`{name}`")), "{}: {name} is not documented", path.display());
            }
        }
    }
}
