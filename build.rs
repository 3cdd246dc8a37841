//! Gives the program its version with commit and date: `OSTEST_VERSION`, such as `0.1.0 (1a2b3c4d5e6f 2026-01-31)`.
//!
//! From git where this is a work tree of its own, or from `OSTEST_BUILD_COMMIT` and `OSTEST_BUILD_DATE` where a
//! package is built without one. Where there is neither, the version stands alone.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let [commit, date] = ["OSTEST_BUILD_COMMIT", "OSTEST_BUILD_DATE"].map(|name| {
        println!("cargo::rerun-if-env-changed={name}");
        env::var(name).ok().filter(|value| !value.is_empty())
    });
    // With a commit given, git's date would be of another one.
    let (commit, date) = match commit {
        Some(commit) => (Some(commit), date),
        None => from_git().map_or((None, None), |(commit, own)| (Some(commit), date.or(Some(own)))),
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

fn git(arguments: &[&str]) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "a build asks git, and no task is near")]
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
