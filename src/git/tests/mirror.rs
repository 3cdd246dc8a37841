//! The suite's mirror: refreshed with few requests, and repaired after damage.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::support::{Node, Origin, World, git_http};
use crate::git::url::RepositoryUrl;
use crate::git::{Answer, Failure, Kind, Limits, Mirror, Mirrored, Request, perform};

fn ask(world: &World, url: &str, reference: Option<&str>) -> Result<Mirrored, Failure> {
    let request = Mirror {
        url: RepositoryUrl::read(url, true).unwrap(),
        reference: reference.map(str::to_owned),
        mirror: world.path("state/suite.git"),
        trees: world.path("state/trees"),
        limits: Limits::default(),
    };
    match perform(&Request::Mirror(request), world.environment()) {
        Answer::Mirrored(done) => Ok(done),
        Answer::Failed(failure) => Err(failure),
        Answer::CheckedOut(other) => panic!("not the answer to a mirror: {other:?}"),
    }
}

fn suite(world: &World) -> Origin {
    let origin = world.origin("suite.git");
    origin.commit("main", &[("run_tests.py", Node::Program("1")), ("link", Node::Link("run_tests.py"))]);
    origin
}

fn run_tests(done: &Mirrored) -> String {
    fs::read_to_string(done.tree.join("run_tests.py")).unwrap()
}

fn packs(world: &World) -> Vec<PathBuf> {
    fs::read_dir(world.path("state/suite.git/objects/pack"))
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .collect()
}

#[test]
fn exports_commit_once_and_refreshes() {
    let world = World::new();
    let origin = suite(&world);
    let first = ask(&world, &origin.url(), None).unwrap();
    assert_eq!((first.refreshed, first.changed, first.warning.as_deref()), (true, true, None));
    assert!(first.tree.ends_with(format!("state/trees/{}", first.commit)));
    assert_eq!(run_tests(&first), "1");
    let mode = fs::metadata(first.tree.join("run_tests.py")).unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0o111);
    assert_eq!(fs::read_link(first.tree.join("link")).unwrap().to_str(), Some("run_tests.py"));
    assert!(!first.tree.join(".git").exists());

    fs::write(first.tree.join("marker"), "").unwrap();
    let again = ask(&world, &origin.url(), None).unwrap();
    assert_eq!((again.refreshed, again.changed), (true, false));
    assert!(again.tree.join("marker").exists(), "it is not written again");

    origin.commit("main", &[("run_tests.py", Node::Program("2"))]);
    let next = ask(&world, &origin.url(), None).unwrap();
    assert!(next.changed && next.commit != first.commit);
    assert_eq!((run_tests(&first).as_str(), run_tests(&next).as_str()), ("1", "2"));
}

#[test]
fn fetches_nothing_if_unchanged() {
    let world = World::new();
    let origin = suite(&world);
    let Some(server) = git_http(&world, None) else { return };
    let url = server.url("http", "suite.git");
    let first = ask(&world, &url, None).unwrap();
    let before = server.log().lines().count();
    assert!(!ask(&world, &url, None).unwrap().changed);
    assert_eq!(server.log().lines().count() - before, 1, "one question: {}", server.log());
    let before = server.log().lines().count();
    let known = ask(&world, &url, Some(&first.commit)).unwrap();
    assert_eq!(server.log().lines().count(), before, "a known commit needs no question");
    assert_eq!((known.refreshed, known.warning), (false, None));
    drop(origin);
}

#[test]
fn accepts_branches_tags_and_commits_only() {
    let world = World::new();
    let origin = suite(&world);
    let old = ask(&world, &origin.url(), None).unwrap().commit;
    origin.tag("v1", git2::Oid::from_str(&old).unwrap());
    origin.commit("main", &[("run_tests.py", Node::Program("2"))]);
    origin.commit("lab/2", &[("run_tests.py", Node::Program("3"))]);
    for (reference, text) in
        [("main", "2"), ("v1", "1"), ("lab/2", "3"), (old.as_str(), "1"), (&old[..10], "1")]
    {
        let done = ask(&world, &origin.url(), Some(reference)).unwrap();
        assert_eq!(run_tests(&done), text, "{reference}");
    }
    for reference in ["none", "refs/heads/main", "main~0", "main^{tree}", "", "--all", &"1".repeat(40)] {
        let failure = ask(&world, &origin.url(), Some(reference)).unwrap_err();
        assert_eq!(failure.kind, Kind::MissingBranch, "{failure}");
        assert!(
            failure.message.ends_with(&format!("has no branch, tag or commit '{reference}'")),
            "{failure}"
        );
    }
    // A reference that the remote deleted is deleted here too, and `lab` may replace `lab/2`.
    origin.repository.find_reference("refs/heads/lab/2").unwrap().delete().unwrap();
    origin.commit("lab", &[("run_tests.py", Node::Program("4"))]);
    assert_eq!(ask(&world, &origin.url(), Some("lab/2")).unwrap_err().kind, Kind::MissingBranch);
    assert_eq!(run_tests(&ask(&world, &origin.url(), Some("lab")).unwrap()), "4");
}

#[test]
fn lost_remote_serves_old_commit_with_warning() {
    let world = World::new();
    let origin = suite(&world);
    let first = ask(&world, &origin.url(), None).unwrap();
    fs::rename(&origin.path, world.path("away")).unwrap();
    let stale = ask(&world, &origin.url(), None).unwrap();
    assert_eq!(
        (stale.commit.as_str(), stale.refreshed, stale.changed),
        (first.commit.as_str(), false, false)
    );
    let warning = stale.warning.unwrap();
    assert!(
        warning.starts_with("the suite may be out of date: there is no repository at file://"),
        "{warning}"
    );
    // The tree is exported without the remote.
    fs::remove_dir_all(&first.tree).unwrap();
    assert_eq!(run_tests(&ask(&world, &origin.url(), None).unwrap()), "1");
    assert_eq!(ask(&world, &origin.url(), Some("none")).unwrap_err().kind, Kind::MissingRepository);
    // The mirror of another repository is not used.
    let failure = ask(&world, &format!("{}/other", origin.url()), None).unwrap_err();
    assert_eq!(failure.kind, Kind::MissingRepository);
    assert_eq!(
        run_tests(&ask(&world, &origin.url(), None).unwrap()),
        "1",
        "the mirror still serves its own repository"
    );
}

#[test]
fn replaces_broken_mirror() {
    let breaks: [&dyn Fn(&World); 5] = [
        &|world| packs(world).iter().for_each(|pack| truncate(pack, 40)),
        &|world| packs(world).iter().for_each(|pack| fs::remove_file(pack).unwrap()),
        &|world| fs::write(world.path("state/suite.git/HEAD"), "").unwrap(),
        &|world| fs::write(world.path("state/suite.git/config"), "[core").unwrap(),
        &|world| fs::remove_dir_all(world.path("state/suite.git/refs")).unwrap(),
    ];
    for (n, break_it) in breaks.iter().enumerate() {
        for news in [false, true] {
            let world = World::new();
            let origin = suite(&world);
            let first = ask(&world, &origin.url(), None).unwrap();
            fs::remove_dir_all(&first.tree).unwrap();
            break_it(&world);
            if news {
                origin.commit("main", &[("run_tests.py", Node::Program("2"))]);
            }
            let done = ask(&world, &origin.url(), None).unwrap_or_else(|f| panic!("{n}, news {news}: {f:?}"));
            assert_eq!(run_tests(&done), if news { "2" } else { "1" }, "{n}");
            let again = ask(&world, &origin.url(), None).unwrap();
            assert_eq!((again.changed, again.warning), (false, None), "{n}: and it stays whole");
        }
    }
}

fn truncate(path: &PathBuf, length: u64) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::File::options().write(true).open(path).unwrap().set_len(length).unwrap();
}

#[test]
fn removes_files_of_killed_request() {
    let world = World::new();
    let origin = suite(&world);
    let commit = origin.repository.refname_to_id("refs/heads/main").unwrap();
    for left in [
        format!("trees/.unfinished-{commit}"),
        "trees/.unfinished-other".into(),
        ".unfinished-suite.git".into(),
        ".unfinished-suite.git.old".into(),
    ] {
        fs::create_dir_all(world.path("state").join(&left)).unwrap();
        fs::write(world.path("state").join(&left).join("half"), "").unwrap();
    }
    let done = ask(&world, &origin.url(), None).unwrap();
    assert!(!done.tree.join("half").exists());
    for folder in ["state", "state/trees"] {
        let left = fs::read_dir(world.path(folder)).unwrap().flatten();
        let left: Vec<_> =
            left.map(|e| e.file_name()).filter(|n| n.to_string_lossy().contains("unfinished")).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn concurrent_requests_export_once() {
    let world = World::new();
    let origin = suite(&world);
    let url = origin.url();
    let answers: Vec<_> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..4).map(|_| scope.spawn(|| ask(&world, &url, None))).collect();
        asked.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect()
    });
    assert_eq!(answers.iter().filter(|answer| answer.changed).count(), 1);
}

#[test]
fn exports_submodules_of_suite() {
    let world = World::new();
    let lib = world.origin("lib.git");
    let commit = lib.commit("main", &[("b", Node::File("2"))]);
    let origin = suite(&world);
    let modules = "[submodule \"lib\"]\n\tpath = lib\n\turl = ../lib.git\n";
    origin.commit("main", &[("lib", Node::Gitlink(commit)), (".gitmodules", Node::File(modules))]);
    let done = ask(&world, origin.path.to_str().unwrap(), None).unwrap();
    assert_eq!(fs::read_to_string(done.tree.join("lib/b")).unwrap(), "2");
    assert!(!done.tree.join("lib/.git").exists());
}

#[test]
fn empty_suite_is_reported_as_empty() {
    let world = World::new();
    let origin = world.origin("empty.git");
    assert_eq!(ask(&world, &origin.url(), None).unwrap_err().kind, Kind::EmptyRepository);
    assert!(!world.path("state/suite.git").exists());
}
