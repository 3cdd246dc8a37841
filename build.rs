//! Gives the program its version with commit and date: `OSTEST_VERSION`, such as `0.1.0 (1a2b3c4d5e6f 2026-01-31)`.
//!
//! From git where this is a work tree of its own; where there is no git, as in the build of an image, the commit from
//! git's own files, with the day of the build; or from `OSTEST_BUILD_COMMIT` and `OSTEST_BUILD_DATE` where a package is
//! built without either. Where there is none of these, the version stands alone.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let [commit, date] = ["OSTEST_BUILD_COMMIT", "OSTEST_BUILD_DATE"].map(|name| {
        println!("cargo::rerun-if-env-changed={name}");
        env::var(name).ok().filter(|value| !value.is_empty())
    });
    // With a commit given, git's date would be of another one.
    let (commit, date) = match commit {
        Some(commit) => (Some(commit), date),
        None => from_git()
            .or_else(from_files)
            .map_or((None, None), |(commit, own)| (Some(commit), date.or(Some(own)))),
    };
    let version = match (commit, date) {
        (Some(commit), Some(date)) => format!("{version} ({commit} {date})"),
        (Some(commit), None) => format!("{version} ({commit})"),
        (None, _) => version,
    };
    println!("cargo::rustc-env=OSTEST_VERSION={version}");
    // Cargo forgets the profile's `strip` for a package with an `opt-level` of its own.
    if env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        println!("cargo::rustc-link-arg-bin=runner=-Wl,--strip-all");
    }
    println!("cargo::rerun-if-changed=build.rs");
}

fn from_git() -> Option<(String, String)> {
    // Not the commit of some other project below which this one lies.
    let top = git(&["rev-parse", "--show-toplevel"])?;
    let same = Path::new(&top).canonicalize().ok()? == Path::new(".").canonicalize().ok()?;
    // Changes with each commit and checkout, and with nothing else. A path that is not there would mean a build each time.
    let moves =
        git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|path| same && Path::new(path).exists());
    if let Some(moves) = moves {
        println!("cargo::rerun-if-changed={moves}");
    }
    let (commit, date) = (git(&["rev-parse", "--short=12", "HEAD"])?, git(&["log", "-1", "--format=%cs"])?);
    same.then_some((commit, date))
}

/// Of a tree that has little more of git than what its files say: the objects, in which the commit's date is, need not be
/// there.
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

/// The day of the build, in UTC; that of `SOURCE_DATE_EPOCH`, where a build is to be made again as it was.
fn today() -> String {
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let given = env::var("SOURCE_DATE_EPOCH").ok().and_then(|seconds| seconds.parse().ok());
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let days = given.unwrap_or_else(now) / 86_400;
    // Years that begin in March, in turns of 400 years (Howard Hinnant, "chrono-compatible low-level date algorithms").
    let days = days + 719_468;
    let (turn, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    format!("{:04}-{month:02}-{day:02}", turn * 400 + year + u64::from(month < 3))
}

fn git(arguments: &[&str]) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "a build asks git, and no task is near")]
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
