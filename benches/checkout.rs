//! Checkout of a local repository as in the git child, but in process; refresh of an unchanged mirror of the suite; and
//! `git clone` for comparison.

#![expect(clippy::disallowed_methods, reason = "benchmarks start git directly; the rule is for the runner")]
#![expect(clippy::expect_used, reason = "a benchmark needs git and a disk")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use divan::{Bencher, black_box};
use ostest_runner::git::url::RepositoryUrl;
use ostest_runner::git::{Answer, Checkout, Environment, Limits, Mirror, Request, perform};
use tempfile::TempDir;

fn main() {
    divan::main();
}

/// A work tree that is removed after the measurement.
struct Tree(PathBuf);

impl Drop for Tree {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// Creates a repository with `files` files and `files` commits.
fn repository(files: usize) -> (TempDir, RepositoryUrl) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let source = folder.path().join("source");
    fs::create_dir(&source).expect("a folder");
    git(&source, &["init", "--quiet", "--initial-branch", "main"]);
    for number in 0..files {
        let text = format!("int f{number}(void) {{ return {number}; }}\n").repeat(50);
        fs::write(source.join(format!("file{number}.c")), text).expect("a file");
        git(&source, &["add", "."]);
        let author = ["-c", "user.name=bench", "-c", "user.email=bench@example.org"];
        git(&source, &[&author[..], &["commit", "--quiet", "-m", "bench"]].concat());
    }
    let url = RepositoryUrl::parse(&format!("file://{}", source.display()), true).expect("a URL");
    (folder, url)
}

fn git(folder: &Path, arguments: &[&str]) {
    let mut command = Command::new("git");
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
    let status = command.args(arguments).current_dir(folder).stdin(Stdio::null()).status();
    assert!(status.is_ok_and(|status| status.success()), "git {arguments:?} failed");
}

/// A new path for a work tree.
fn next(folder: &TempDir) -> Tree {
    Tree(folder.path().join(format!("tree-{:x}", fastrand::u64(..))))
}

#[divan::bench(args = [10, 100], sample_count = 50)]
fn in_process(bencher: Bencher<'_, '_>, files: usize) {
    let (folder, url) = repository(files);
    bencher.with_inputs(|| next(&folder)).bench_local_values(|tree| {
        let request = Request::Checkout(Checkout {
            url: url.clone(),
            branch: Some("main".to_owned()),
            into: tree.0.clone(),
            allow_local: true,
            limits: Limits::default(),
            cache: None,
        });
        let answer = perform(black_box(&request), Environment::of_process());
        assert!(matches!(answer, Answer::CheckedOut(_)), "{answer:?}");
        tree
    });
}

#[divan::bench(args = [10, 100], sample_count = 50)]
fn git_clone(bencher: Bencher<'_, '_>, files: usize) {
    let (folder, url) = repository(files);
    bencher.with_inputs(|| next(&folder)).bench_local_values(|tree| {
        git(folder.path(), &["clone", "--quiet", &url.expose(), &tree.0.display().to_string()]);
        tree
    });
}

#[divan::bench(sample_count = 50)]
fn mirror_unchanged(bencher: Bencher<'_, '_>) {
    let (folder, url) = repository(10);
    let request = Request::Mirror(Mirror {
        url,
        reference: None,
        mirror: folder.path().join("mirror.git"),
        trees: folder.path().join("trees"),
        limits: Limits::default(),
    });
    bencher.bench_local(|| {
        let answer = perform(black_box(&request), Environment::of_process());
        assert!(matches!(answer, Answer::Mirrored(_)), "{answer:?}");
    });
}
