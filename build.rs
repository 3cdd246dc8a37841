//! Sets `OSTEST_VERSION`, the version with commit and date, such as `0.1.0 (1a2b3c4d5e6f 2026-01-31)`.
//!
//! Commit and date come from the first of these that is available: `OSTEST_BUILD_COMMIT` and `OSTEST_BUILD_DATE`, for
//! packages built without git; the program `git`, if this folder is the top of a work tree; the files in `.git`, with the
//! date of the build, for example in the build of an image. Otherwise the version has neither.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use jiff::Timestamp;

fn main() {
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let [commit, date] = ["OSTEST_BUILD_COMMIT", "OSTEST_BUILD_DATE"].map(|name| {
        println!("cargo::rerun-if-env-changed={name}");
        env::var(name).ok().filter(|value| !value.is_empty())
    });
    // If the commit is given, git's date could be that of another commit.
    let (commit, date) = match commit {
        Some(commit) => (Some(commit), date),
        None => from_git()
            .or_else(from_files)
            .map_or((None, None), |(commit, found)| (Some(commit), date.or(Some(found)))),
    };
    let version = match (commit, date) {
        (Some(commit), Some(date)) => format!("{version} ({commit} {date})"),
        (Some(commit), None) => format!("{version} ({commit})"),
        (None, _) => version,
    };
    println!("cargo::rustc-env=OSTEST_VERSION={version}");
    // Cargo ignores the profile's `strip` for a package with its own `opt-level`.
    if env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        println!("cargo::rustc-link-arg-bin=runner=-Wl,--strip-all");
    }
    println!("cargo::rerun-if-changed=build.rs");
}

/// Commit and its date from `git`.
fn from_git() -> Option<(String, String)> {
    // This folder may be inside the work tree of another project.
    let top = git(&["rev-parse", "--show-toplevel"])?;
    let same = Path::new(&top).canonicalize().ok()? == Path::new(".").canonicalize().ok()?;
    // This file changes with each commit and checkout. If it did not exist, cargo would rebuild each time.
    let head_log =
        git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|path| same && Path::new(path).exists());
    if let Some(head_log) = head_log {
        println!("cargo::rerun-if-changed={head_log}");
    }
    let (commit, date) = (git(&["rev-parse", "--short=12", "HEAD"])?, git(&["log", "-1", "--format=%cs"])?);
    same.then_some((commit, date))
}

/// Commit from the files in `.git`, and the date of the build, because the objects with the commit's date may be missing.
fn from_files() -> Option<(String, String)> {
    let read = |path: &str| {
        let text = fs::read_to_string(Path::new(".git").join(path)).ok()?;
        println!("cargo::rerun-if-changed=.git/{path}");
        Some(text)
    };
    let head = read("HEAD")?;
    let commit = match head.trim().strip_prefix("ref: ") {
        None => head.trim().to_owned(),
        Some(name) => read(name).map(|text| text.trim().to_owned()).or_else(|| {
            let packed = read("packed-refs")?;
            packed.lines().find_map(|line| line.strip_suffix(name)?.strip_suffix(' ').map(str::to_owned))
        })?,
    };
    let is_commit = commit.len() >= 40 && commit.chars().all(|c| c.is_ascii_hexdigit());
    is_commit.then(|| (commit[..12].to_owned(), today()))
}

/// Date of the build in UTC, such as `2026-01-31`; from `SOURCE_DATE_EPOCH` if it is set.
fn today() -> String {
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let fixed = env::var("SOURCE_DATE_EPOCH").ok().and_then(|seconds| seconds.parse().ok());
    let time = fixed.and_then(|seconds| Timestamp::from_second(seconds).ok()).unwrap_or_else(Timestamp::now);
    time.strftime("%Y-%m-%d").to_string()
}

/// Output of `git`, trimmed; `None` if it fails or is empty.
fn git(arguments: &[&str]) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "a build script has no supervisor to use")]
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
