//! Checks the documentation without the network: links, the index, the length of the README.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The most lines that the README may have: it is a front page, the rest is in `docs/`.
const README_LINES: usize = 120;

/// Folders without documentation of ours.
const SKIPPED: &[&str] = &["target", "node_modules", "corpus", "artifacts"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All pages by path, with their text.
fn pages() -> BTreeMap<PathBuf, String> {
    let mut pages = BTreeMap::new();
    let mut open = vec![root().to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with('.') || SKIPPED.contains(&name.as_str()) {
                continue;
            }
            if path.is_dir() && !path.is_symlink() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "md") {
                let text = fs::read_to_string(&path).unwrap();
                pages.insert(path, text);
            }
        }
    }
    pages
}

/// The lines that are prose: neither blocks of code nor code within a line.
fn prose(page: &str) -> impl Iterator<Item = String> {
    let lines = page.lines().filter(|line| !line.starts_with("    "));
    lines.map(|line| line.split('`').step_by(2).collect::<Vec<_>>().join("`"))
}

/// The targets of `[text](target)` in a page.
fn links(page: &str) -> Vec<String> {
    let parts = prose(page).flat_map(|line| {
        let rest: Vec<_> = line.split("](").skip(1).map(str::to_owned).collect();
        rest
    });
    parts.filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

/// The names by which a page's headings are linked to, as GitHub makes them.
fn anchors(page: &str) -> Vec<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[test]
fn relative_links_resolve() {
    let pages = pages();
    let mut checked = 0;
    let mut broken = Vec::new();
    for (path, page) in &pages {
        for link in links(page) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            checked += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let name = path.strip_prefix(root()).unwrap().display();
            let Ok(target) = target.canonicalize() else {
                broken.push(format!("{name}: {link}: no such file"));
                continue;
            };
            let known =
                || pages.get(&target).is_none_or(|page| anchors(page).iter().any(|one| one == anchor));
            if !anchor.is_empty() && !known() {
                broken.push(format!("{name}: {link}: no such heading"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(checked > 20, "only {checked} links were found");
}

#[test]
fn index_lists_every_page() {
    let index = fs::read_to_string(root().join("docs/README.md")).unwrap();
    for page in pages().keys().filter(|page| page.parent() == Some(&root().join("docs"))) {
        let name = page.file_name().unwrap().to_str().unwrap();
        let listed = name == "README.md" || index.contains(&format!("({name})"));
        assert!(listed, "docs/README.md does not link to {name}");
    }
}

#[test]
fn readme_stays_a_front_page() {
    let lines = fs::read_to_string(root().join("README.md")).unwrap().lines().count();
    assert!(lines <= README_LINES, "README.md has {lines} lines; move some of it to docs/");
}

/// What the README shows or links to in `docs/` is in the Debian package as well.
#[test]
fn package_ships_linked_pages() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for link in links(&readme).iter().filter(|link| link.starts_with("docs/")) {
        let (folder, file) = link.rsplit_once('/').unwrap();
        let (_, end) = file.rsplit_once('.').unwrap();
        let asset = format!("[\"{folder}/*.{end}\", \"usr/share/doc/ostest-runner/{folder}/\", \"644\"]");
        assert!(manifest.contains(&asset), "{link}: Cargo.toml has no asset {asset}");
    }
}

/// The rooms in `docs/architecture.md` are the folders that there are.
#[test]
fn architecture_names_every_room() {
    let page = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    for parent in ["src", "crates"] {
        for entry in fs::read_dir(root().join(parent)).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("`{parent}/{}/`", path.file_name().unwrap().to_str().unwrap());
            assert!(!path.is_dir() || page.contains(&name), "docs/architecture.md does not name {name}");
        }
    }
    let rooms =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("/` |")).map(|(name, _)| name);
    for room in rooms.filter(|name| name.starts_with("src/") || name.starts_with("crates/")) {
        assert!(root().join(room).is_dir(), "docs/architecture.md names {room}, which does not exist");
    }
}

/// The tests that `docs/security.md` names exist: `attack-folder`, `module::`, `module::test_…`, `test_…`.
#[test]
fn security_page_names_existing_tests() {
    let page = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let tests = sources(&root().join("tests/it"));
    let (_, table) = page.split_once("## What is promised").unwrap();
    let cells = table
        .lines()
        .take_while(|line| !line.starts_with("### "))
        .filter_map(|line| line.trim_end_matches(" |").rsplit_once(" | ").map(|(_, cell)| cell));
    let in_table = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let anywhere =
        page.split('`').skip(1).step_by(2).filter(|word| word.contains("::") || word.ends_with('…'));
    let mut missing = Vec::new();
    for name in in_table.chain(anywhere) {
        let known = if let Some(start) = name.strip_suffix('…') {
            tests.contains(&format!("fn {}", start.rsplit("::").next().unwrap()))
        } else if let Some(module) = name.strip_suffix("::") {
            tests.contains(&format!("mod {};", module.rsplit("::").next().unwrap()))
        } else if let Some((_, test)) = name.rsplit_once("::") {
            tests.contains(&format!("fn {test}("))
        } else {
            root().join("tests/attacks").join(name).is_dir()
        };
        if !known {
            missing.push(name);
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
}

/// All Rust sources below a folder, as one text.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text.push_str(&sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
    text
}
