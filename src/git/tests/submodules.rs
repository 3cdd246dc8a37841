//! Valid and hostile submodules.

use std::fs;

use git2::Oid;

use super::support::{Node, Origin, World};
use crate::git::{Failure, Kind, Limits};
use report::{Cause, Progress};

fn section(name: &str, path: &str, url: &str) -> String {
    format!("[submodule \"{name}\"]\n\tpath = {path}\n\turl = {url}\n")
}

/// Creates the origin `group/top.git` with a submodule at `lib`.
fn with_submodule(world: &World, url: &str, commit: Oid) -> Origin {
    let top = world.origin("group/top.git");
    top.commit(
        "main",
        &[
            ("a", Node::File("1")),
            ("lib", Node::Gitlink(commit)),
            (".gitmodules", Node::File(&section("lib", "lib", url))),
        ],
    );
    top
}

fn refused(world: &World, origin: &Origin) -> Failure {
    let failure = world.checkout(&origin.url(), "main").unwrap_err();
    assert_eq!(failure.kind, Kind::BadSubmodule, "{failure}");
    assert_eq!(failure.fault(Progress::Checkout).cause, Cause::Program);
    failure
}

#[test]
fn checks_out_relative_and_nested_submodules() {
    let world = World::new();
    let deep = world.origin("group/deep.git");
    let first = deep.commit("main", &[("deep.c", Node::File("old"))]);
    deep.commit("main", &[("deep.c", Node::File("new"))]);
    let lib = world.origin("group/lib.git");
    let modules = section("x y", "third party/deep", "../deep.git");
    let commit = lib
        .commit("main", &[("third party/deep", Node::Gitlink(first)), (".gitmodules", Node::File(&modules))]);
    let top = with_submodule(&world, "../lib.git", commit);
    let done = world.checkout(&top.url(), "main").unwrap();
    assert_eq!(done.submodules, 2);
    assert_eq!(world.read("lib/third party/deep/deep.c"), "old", "the recorded commit, not the newest");
    let status = git2::Repository::open(world.work().join("lib")).unwrap();
    assert!(status.head_detached().unwrap());
}

#[test]
fn gitlink_without_entry_is_empty_folder() {
    let world = World::new();
    let top = world.origin("top");
    let commit = Oid::from_str(&"1".repeat(40)).unwrap();
    top.commit("main", &[("lib", Node::Gitlink(commit)), ("a", Node::File("1"))]);
    assert_eq!(world.checkout(&top.url(), "main").unwrap().submodules, 0);
    assert_eq!(fs::read_dir(world.work().join("lib")).unwrap().count(), 0);
}

#[test]
fn checks_submodule_urls_like_task_urls() {
    for (url, part) in [
        ("ext::sh -c 'touch /tmp/x'", "white space"),
        ("ext::sh", "ext:: is not a supported"),
        ("-u./payload", "not the URL of a repository"),
        ("--upload-pack=x", "not the URL of a repository"),
        ("ftp://host/a", "ftp:// is not a supported"),
        ("ssh://-oProxyCommand=x/a", "not a host name"),
        ("", "it has no URL"),
    ] {
        let world = World::new();
        let top = with_submodule(&world, url, Oid::from_str(&"1".repeat(40)).unwrap());
        let failure = refused(&world, &top);
        assert!(
            failure.message.starts_with("submodule 'lib' of ") && failure.message.contains(part),
            "{failure}"
        );
        assert_eq!(fs::read_dir(world.work()).unwrap().count(), 1, "nothing but .git");
    }
}

#[test]
fn local_submodule_needs_permission() {
    let mut world = World::new();
    let lib = world.origin("lib.git");
    let commit = lib.commit("main", &[("b", Node::File("2"))]);
    let top = with_submodule(&world, &lib.url(), commit);
    // `insteadOf` makes the task's URL local, as an operator would configure it.
    world.set("GIT_CONFIG_COUNT", "1");
    world.set("GIT_CONFIG_KEY_0", format!("url.{}.insteadOf", top.url()));
    world.set("GIT_CONFIG_VALUE_0", "https://github.invalid/top");
    let mut request = world.request("https://github.invalid/top", "main");
    request.allow_local = false;
    let failure = world.run(&request).unwrap_err();
    assert_eq!(failure.kind, Kind::BadSubmodule);
    assert!(failure.message.contains("file:// repositories are not allowed here"), "{failure}");
    request.allow_local = true;
    request.into = world.path("allowed");
    assert_eq!(world.run(&request).unwrap().submodules, 1);
}

#[test]
fn failure_names_the_submodule() {
    let world = World::new();
    let lib = world.origin("group/lib.git");
    lib.commit("main", &[("b", Node::File("2"))]);
    let nothing = "1".repeat(40);
    let top = with_submodule(&world, "../lib.git", Oid::from_str(&nothing).unwrap());
    let failure = refused(&world, &top);
    assert!(failure.message.starts_with("submodule 'lib' of file://"), "{failure}");
    assert!(failure.message.contains(&format!("has no commit {nothing}")), "{failure}");

    let world = World::new();
    let top = with_submodule(&world, "../none.git", Oid::from_str(&nothing).unwrap());
    assert!(refused(&world, &top).message.contains("there is no repository at file://"));

    // The student chose another host than the task's, so its failure is not an infrastructure fault.
    let world = World::new();
    let top = with_submodule(&world, "git://127.0.0.1:1/none", Oid::from_str(&nothing).unwrap());
    assert!(refused(&world, &top).message.contains("cannot fetch git://127.0.0.1:1/none"));
}

#[test]
fn rejects_submodule_paths_outside_work_tree() {
    for path in ["../x", "/tmp/x", "a/../../x", ".git/modules", "x/.GIT/y", "."] {
        let world = World::new();
        let top = world.origin("top");
        top.commit(
            "main",
            &[("a", Node::File("1")), (".gitmodules", Node::File(&section("s", path, "../b")))],
        );
        assert!(refused(&world, &top).message.contains("leads out of the work tree"), "{path}");
    }
}

#[test]
fn refuses_submodule_path_through_link() {
    let world = World::new();
    let outside = world.path("outside");
    fs::create_dir(&outside).unwrap();
    let lib = world.origin("lib");
    let commit = lib.commit("main", &[("post-checkout", Node::Program("evil"))]);
    let top = world.origin("top");
    let modules = section("s", "link/sub", &lib.url());
    let target = outside.to_str().unwrap();
    top.commit("main", &[("link", Node::Link(target)), (".gitmodules", Node::File(&modules))]);
    assert!(refused(&world, &top).message.contains("through a symbolic link"));

    // A tree with both the link and a folder of the same name.
    let modules = top.repository.blob(modules.as_bytes()).unwrap();
    let link = top.repository.blob(target.as_bytes()).unwrap();
    let folder = top.raw_tree(&[("160000", "sub", commit)]);
    let tree = top.raw_tree(&[
        ("100644", ".gitmodules", modules),
        ("120000", "link", link),
        ("40000", "link", folder),
    ]);
    top.commit_tree("main", tree, None);
    let mut request = world.request(&top.url(), "main");
    request.into = world.path("second");
    assert_eq!(world.run(&request).unwrap_err().kind, Kind::Damaged);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn rejects_gitmodules_with_include() {
    for text in
        ["[include]\n\tpath = /etc/passwd\n", "[ Include ]\npath=x\n", "[includeIf \"gitdir:/\"]\npath=x\n"]
    {
        let world = World::new();
        let top = world.origin("top");
        top.commit("main", &[(".gitmodules", Node::File(text))]);
        assert!(refused(&world, &top).message.contains("includes other files"));
    }
    let world = World::new();
    let top = world.origin("top");
    top.commit("main", &[(".gitmodules", Node::File("[submodule \"x"))]);
    assert!(refused(&world, &top).message.contains("cannot be read"));
}

#[test]
fn submodules_count_toward_limits() {
    let world = World::new();
    let lib = world.origin("group/lib.git");
    let commit = lib.commit("main", &[("big", Node::File(&"x".repeat(5000)))]);
    let top = with_submodule(&world, "../lib.git", commit);
    for (n, (limits, part)) in [
        (Limits { bytes: 5000, ..Limits::default() }, "take more than 5000 bytes"),
        (Limits { files: 3, ..Limits::default() }, "more than 3 files and folders"),
        (Limits { submodules: 0, ..Limits::default() }, "more than 0 submodules"),
        (Limits { depth: 0, ..Limits::default() }, "more than 0 deep"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut request = world.request(&top.url(), "main");
        request.into = world.path(&format!("work{n}"));
        request.limits = limits;
        let failure = world.run(&request).unwrap_err();
        assert_eq!(failure.kind, Kind::TooLarge, "{failure}");
        assert!(failure.message.contains(part), "{failure}");
    }
}

#[test]
fn recursive_submodule_stops_at_depth_limit() {
    let world = World::new();
    let lib = world.origin("lib");
    let modules = section("me", "me", &lib.url());
    let mut inner = lib.commit("main", &[("a", Node::File("1"))]);
    for _ in 0..12 {
        inner = lib.commit("main", &[("me", Node::Gitlink(inner)), (".gitmodules", Node::File(&modules))]);
    }
    let failure = world.checkout(&lib.url(), "main").unwrap_err();
    assert_eq!(failure.kind, Kind::TooLarge, "{failure}");
    assert!(failure.message.contains("more than 10 deep"), "{failure}");
}
