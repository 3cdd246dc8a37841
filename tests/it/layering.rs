//! The design is a test: modules import downward only.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The layers from the top. A module may import from layers below its own; within a layer nothing knows its siblings.
const LAYERS: &[&[&str]] = &[
    &["main"],
    &["cli"],
    &["daemon"],
    &["config"],
    &["pipeline"],
    &["executors"],
    &["git"],
    &["process", "junit", "backend"],
    &["sandbox"],
    &["observe"],
    &["spool", "workspace"],
    &["task", "report", "live"],
    &["text"],
    &["units"],
];

#[test]
fn modules_import_downward_only() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let layer: BTreeMap<&str, usize> = LAYERS
        .iter()
        .enumerate()
        .flat_map(|(depth, names)| names.iter().map(move |name| (*name, depth)))
        .collect();
    let mut files = Vec::new();
    collect(&source, &mut files);
    let mut wrong = Vec::new();
    for file in files {
        let relative = file.strip_prefix(&source).unwrap();
        let first = relative.iter().next().unwrap().to_str().unwrap();
        let module = first.trim_end_matches(".rs");
        if module == "lib" {
            continue;
        }
        let own = *layer.get(module).unwrap_or_else(|| panic!("{module} is in no layer"));
        for used in imports(&fs::read_to_string(&file).unwrap()) {
            let below = layer.get(used.as_str()).is_some_and(|&depth| depth > own);
            if used != module && !below {
                wrong.push(format!("{} imports {used}", relative.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The modules of the crate that a file names.
fn imports(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    let mut found = Vec::new();
    for line in lines {
        for (at, _) in line.match_indices("crate::").chain(line.match_indices("ostest_runner::")) {
            let rest = &line[line[at..].find("::").unwrap() + at + 2..];
            let names = rest.strip_prefix('{').map_or(rest, |list| list.split('}').next().unwrap());
            let several = if rest.starts_with('{') { names.split(',').collect() } else { vec![names] };
            found.extend(several.iter().filter_map(|name| {
                let name: String =
                    name.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                (!name.is_empty()).then_some(name)
            }));
        }
    }
    found
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
}
