//! The design is a test: rooms import downward only. Crates hold the rest.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from the top. A room may import from rooms below its own.
const ROOMS: &[&str] = &[
    "main",
    "cli",
    "daemon",
    "config",
    "pipeline",
    "executors",
    "git",
    "backend",
    "observe",
    "spool",
    "task",
    "live",
];

#[test]
fn rooms_import_downward_only() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let floor = |room: &str| ROOMS.iter().position(|name| *name == room);
    let mut wrong = Vec::new();
    for file in files_below(&source) {
        let relative = file.strip_prefix(&source).unwrap();
        let room = relative.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        if room == "lib" {
            continue;
        }
        let own = floor(room).unwrap_or_else(|| panic!("{room} is no room: add it to ROOMS"));
        for used in imports(&fs::read_to_string(&file).unwrap()) {
            if used != room && floor(&used).is_none_or(|used| used <= own) {
                wrong.push(format!("{} imports {used}", relative.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The rooms that a file names in paths such as `crate::room::...` and `crate::{room, other::...}`.
fn imports(text: &str) -> Vec<String> {
    let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let paths = code.split("crate::").skip(1).chain(code.split("ostest_runner::").skip(1));
    let name = |path: &str| path.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    paths
        .flat_map(|path| match path.strip_prefix('{') {
            None => vec![name(path)],
            Some(group) => outermost(group).into_iter().map(name).collect(),
        })
        .collect()
}

/// The items of `a, b::{c, d}, e}` that stand outside inner braces.
fn outermost(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut items) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                items.push(group[start..at].trim());
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    items.retain(|item| !item.is_empty());
    items
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] });
    files.filter(|file| file.extension().is_some_and(|end| end == "rs")).collect()
}
