//! Ordinary work trees, unusual branch names, limits, and git's own configuration.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::support::{Node, World, holds};
use crate::git::child::serve;
use crate::git::{Answer, Kind, Limits, Request};
use report::{Cause, Progress};

#[test]
fn checks_out_branch_with_modes_and_links() {
    let world = World::new();
    let origin = world.origin("a");
    let commit = origin.commit(
        "lab1",
        &[
            ("src/main.c", Node::File("int main;")),
            ("run.sh", Node::Program("#!/bin/sh")),
            ("link", Node::Link("src/main.c")),
        ],
    );
    origin.commit("main", &[("other", Node::File(""))]);
    let done = world.checkout(&origin.url(), "lab1").unwrap();
    assert_eq!((done.commit, done.branch.as_deref()), (commit.to_string(), Some("lab1")));
    assert_eq!((done.files, done.bytes, done.submodules), (4, 9 + 9 + 10, 0));
    assert_eq!(world.read("link"), "int main;");
    assert!(!world.work().join("other").exists());
    assert_eq!(fs::metadata(world.work().join("run.sh")).unwrap().permissions().mode() & 0o111, 0o111);
    let repository = git2::Repository::open(world.work()).unwrap();
    assert_eq!(repository.head().unwrap().name().unwrap(), "refs/heads/lab1");
    assert!(repository.statuses(None).unwrap().is_empty(), "git status is clean");
}

#[test]
fn default_branch_is_the_remotes() {
    let world = World::new();
    let origin = world.origin("a");
    let commit = origin.commit("trunk", &[("a", Node::File("1"))]);
    origin.commit("main", &[("b", Node::File("2"))]);
    origin.repository.set_head("refs/heads/trunk").unwrap();
    let mut request = world.request(&origin.url(), "");
    request.branch = None;
    assert_eq!(world.run(&request).unwrap().branch.as_deref(), Some("trunk"));
    origin.commit("trunk", &[("a", Node::File("3"))]);
    origin.repository.set_head_detached(commit).unwrap();
    request.into = world.path("detached");
    let done = world.run(&request).unwrap();
    assert_eq!((done.commit, done.branch), (commit.to_string(), None));
}

#[test]
fn branch_name_is_never_a_pattern() {
    let world = World::new();
    let origin = world.origin("a");
    let commit = origin.commit("main", &[("a", Node::File("1"))]);
    origin.tag("v1", commit);
    let long = "x".repeat(10_000);
    let tricks = [
        "--upload-pack=touch x",
        "-b",
        "../x",
        "refs/heads/main",
        "heads/main",
        "with space",
        "HEAD",
        "v1",
        "mai",
        "main:refs/heads/evil",
        "*",
        "mai*",
        "+main",
        "main^{}",
        "main~0",
        "@",
        "@{-1}",
        "",
        " ",
        "a\nb",
        "a\0b",
        "main.lock",
        &commit.to_string(),
        &long,
    ];
    for (n, name) in tricks.iter().enumerate() {
        let mut request = world.request(&origin.url(), name);
        request.into = world.path(&format!("work{n}"));
        let failure = world.run(&request).unwrap_err();
        assert_eq!(failure.kind, Kind::MissingBranch, "{name:?}: {failure}");
        assert!(failure.message.contains("(it has 'main')"), "{failure}");
        assert!(failure.message.chars().count() < 255 + 100 && !failure.message.contains('\n'), "{failure}");
    }
    for (n, name) in
        ["refs/heads/deep", "-weird", "HEAD", "ветка", "a/b.c+d=e", &"y".repeat(200)].iter().enumerate()
    {
        origin.commit(name, &[("a", Node::File(name))]);
        let mut request = world.request(&origin.url(), name);
        request.into = world.path(&format!("good{n}"));
        assert_eq!(world.run(&request).unwrap().branch.as_deref(), Some(*name));
        assert_eq!(fs::read_to_string(request.into.join("a")).unwrap(), *name);
    }
}

#[test]
fn distinguishes_empty_and_missing_repository() {
    let world = World::new();
    let empty = world.origin("empty");
    let failure = world.checkout(&empty.url(), "main").unwrap_err();
    assert_eq!(failure.kind, Kind::EmptyRepository);
    assert_eq!(failure.message, format!("the repository {} is empty: nothing was pushed to it", empty.url()));
    let url = format!("file://{}/origins/none", world.folder.path().display());
    let mut request = world.request(&url, "main");
    request.into = world.path("two");
    let failure = world.run(&request).unwrap_err();
    assert_eq!(failure.kind, Kind::MissingRepository, "{failure}");
    assert_eq!(failure.message, format!("there is no repository at {url}"));
    assert_eq!(failure.fault(Progress::Checkout).cause, Cause::Task);
}

#[test]
fn local_repositories_need_permission() {
    let world = World::new();
    let origin = world.origin("a");
    origin.commit("main", &[("a", Node::File("1"))]);
    for url in [origin.url(), origin.path.display().to_string()] {
        let mut request = world.request(&url, "main");
        request.allow_local = false;
        let failure = world.run(&request).unwrap_err();
        assert_eq!(failure.kind, Kind::NotAllowed);
        assert!(
            failure.message.starts_with("repositoryUrl: file:// repositories are not allowed here (start")
        );
        assert!(!world.work().exists());
    }
}

#[test]
fn checks_limits_before_writing() {
    let world = World::new();
    let origin = world.origin("a");
    // 100 MB that compress to 100 KB.
    origin.commit("zeros", &[("zeros", Node::File(&"\0".repeat(100 << 20)))]);
    let file = origin.repository.blob(&[b'x'; 10_000]).unwrap();
    let names: Vec<String> = (0..200).map(|n| format!("copy{n}")).collect();
    let copies: Vec<_> = names.iter().map(|name| (name.as_str(), Node::Id(file))).collect();
    origin.commit("copies", &copies);
    for (branch, limits, sentence) in [
        (
            "zeros",
            Limits { bytes: 64 << 20, ..Limits::default() },
            "take more than 64 MiB, the limit of this runner",
        ),
        (
            "copies",
            Limits { bytes: 1 << 20, ..Limits::default() },
            "take more than 1 MiB, the limit of this runner",
        ),
        ("copies", Limits { files: 199, ..Limits::default() }, "more than 199 files and folders, the limit"),
        (
            "copies",
            Limits { bytes: 1 << 10, ..Limits::default() },
            "sends more than 1 KiB, the limit of this runner",
        ),
    ] {
        let mut request = world.request(&origin.url(), branch);
        request.into = world.path(&format!("{branch}{}{}", limits.bytes, limits.files));
        request.limits = limits;
        let failure = world.run(&request).unwrap_err();
        assert_eq!(failure.kind, Kind::TooLarge, "{failure}");
        assert!(failure.message.contains(sentence), "{failure}");
        assert_eq!(failure.fault(Progress::Checkout).cause, Cause::Limit);
        assert_eq!(fs::read_dir(&request.into).unwrap().count(), 1, "nothing but .git");
    }
    let mut request = world.request(&origin.url(), "copies");
    request.limits = Limits { files: 200, bytes: 2_000_000, ..Limits::default() };
    world.run(&request).unwrap();
}

#[test]
fn instead_of_applies_after_scheme_check() {
    let base = World::new();
    let origin = base.origin("os-nsu/tests.git");
    origin.commit("main", &[("a", Node::File("1"))]);
    let origins = base.path("origins");
    let rule = format!("[url \"file://{}/\"]\n\tinsteadOf = https://github.invalid/\n", origins.display());
    let key = format!("url.file://{}/.insteadOf", origins.display());
    let places: [&dyn Fn(&mut World); 4] = [
        &|world| fs::write(world.path("home/.gitconfig"), &rule).unwrap(),
        &|world| {
            fs::create_dir_all(world.path("home/.config/git")).unwrap();
            fs::write(world.path("home/.config/git/config"), &rule).unwrap();
        },
        &|world| {
            fs::write(world.path("own config"), &rule).unwrap();
            world.set("GIT_CONFIG_GLOBAL", world.path("own config"));
        },
        &|world| {
            world.set("GIT_CONFIG_COUNT", "1");
            world.set("GIT_CONFIG_KEY_0", &key);
            world.set("GIT_CONFIG_VALUE_0", "https://github.invalid/");
        },
    ];
    for (n, place) in places.iter().enumerate() {
        let mut world = World::new();
        place(&mut world);
        let mut request = world.request("https://user:hunter2@github.invalid/os-nsu/tests.git", "main");
        request.allow_local = false;
        world.run(&request).unwrap_or_else(|failure| panic!("place {n}: {failure}"));
        assert_eq!(world.read("a"), "1");
        assert!(!holds(&world.work(), "hunter2"));
    }
    // As in git, GIT_CONFIG_GLOBAL replaces the file in the home folder.
    let mut world = World::new();
    fs::write(world.path("home/.gitconfig"), &rule).unwrap();
    world.set("GIT_CONFIG_GLOBAL", "/dev/null");
    let failure = world.checkout("https://github.invalid/os-nsu/tests.git", "main").unwrap_err();
    assert_eq!(failure.kind, Kind::Network, "{failure}");
    assert!(
        failure.message.starts_with("cannot fetch https://github.invalid/os-nsu/tests.git: "),
        "{failure}"
    );
}

#[test]
fn child_answers_request() {
    let world = World::new();
    let origin = world.origin("a");
    origin.commit("main", &[("a", Node::File("1"))]);
    let request = serde_json::to_vec(&Request::Checkout(world.request(&origin.url(), "main"))).unwrap();
    // `child_main` itself would limit the memory of the test process.
    let answer = |text: &[u8]| {
        let mut answer = Vec::new();
        serve(text, &mut answer, |bytes| assert_eq!(bytes, 512 << 20)).unwrap();
        serde_json::from_slice(&answer).unwrap()
    };
    assert!(matches!(answer(&request), Answer::CheckedOut(_)));
    let Answer::Failed(failure) = answer(&request[..10]) else { panic!("half a request") };
    assert!(failure.message.starts_with("cannot read the request to git: "), "{failure}");
}

#[test]
fn request_hides_password_but_passes_it() {
    let world = World::new();
    let request = Request::Checkout(world.request("https://user:hunter2@host/a", "main"));
    assert!(!format!("{request:?}").contains("hunter2"));
    let text = serde_json::to_string(&request).unwrap();
    assert_eq!(serde_json::from_str::<Request>(&text).unwrap(), request);
    assert!(text.contains("hunter2"));
}
