//! Trees that `git add` cannot create.

use std::fs;
use std::time::{Duration, Instant};

use git2::{ObjectType, Oid};

use super::support::{Node, World};
use crate::git::{Kind, Limits};
use report::{Cause, Progress};

#[test]
fn tree_bomb_stops_at_limit() {
    let world = World::new();
    let origin = world.origin("a");
    let mut tree = origin.raw_tree(&[("100644", "file", origin.repository.blob(b"x").unwrap())]);
    for _ in 0..10 {
        let names: Vec<String> = (0..10).map(|n| n.to_string()).collect();
        tree = origin.raw_tree(&names.iter().map(|name| ("40000", name.as_str(), tree)).collect::<Vec<_>>());
    }
    origin.commit_tree("main", tree, None);
    let start = Instant::now();
    let failure = world.checkout(&origin.url(), "main").unwrap_err();
    assert_eq!(failure.kind, Kind::TooLarge, "{failure}");
    assert!(failure.message.contains("more than 100000 files and folders"), "{failure}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn rejects_too_deep_tree() {
    let world = World::new();
    let origin = world.origin("a");
    let mut tree = origin.raw_tree(&[("100644", "file", origin.repository.blob(b"x").unwrap())]);
    for _ in 0..2000 {
        tree = origin.raw_tree(&[("40000", "d", tree)]);
    }
    origin.commit_tree("main", tree, None);
    let failure = world.checkout(&origin.url(), "main").unwrap_err();
    assert_eq!(failure.kind, Kind::Damaged, "{failure}");
    assert!(failure.message.contains("has a name that is too long"), "{failure}");
}

#[test]
fn rejects_names_outside_work_tree() {
    let world = World::new();
    let origin = world.origin("a");
    let outside = world.path("outside");
    fs::create_dir(&outside).unwrap();
    let file = origin.repository.blob(b"evil").unwrap();
    let link = origin.repository.blob(outside.to_str().unwrap().as_bytes()).unwrap();
    let inner = origin.raw_tree(&[("100644", "evil", file)]);
    let trees = [
        vec![("120000", "a", link), ("40000", "a", inner)],
        vec![("40000", "..", inner)],
        vec![("40000", ".git", inner)],
        vec![("40000", ".GIT", inner)],
        vec![("100644", ".", file)],
        vec![("100644", "a/b", file)],
        vec![("40000", "git~1", inner)],
        vec![("40000", ".g\u{200c}it", inner)],
        vec![("120000", ".gitmodules", link)],
    ];
    for (n, entries) in trees.iter().enumerate() {
        let branch = format!("evil{n}");
        origin.commit_tree(&branch, origin.raw_tree(entries), None);
        let mut request = world.request(&origin.url(), &branch);
        request.into = world.path(&branch);
        let result = world.run(&request);
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "{n}");
        assert!(!request.into.join(".git/evil").exists(), "{n}");
        let failure = result.expect_err(&format!("{n} was taken"));
        assert_eq!(failure.kind, Kind::Damaged, "{n}: {failure}");
        assert_eq!(failure.fault(Progress::Checkout).cause, Cause::Program);
    }
}

#[test]
fn link_out_of_tree_stays_link() {
    let world = World::new();
    let origin = world.origin("a");
    origin.commit("main", &[("out", Node::Link("/etc/passwd")), ("in", Node::File("1"))]);
    world.checkout(&origin.url(), "main").unwrap();
    assert_eq!(fs::read_link(world.work().join("out")).unwrap().to_str(), Some("/etc/passwd"));
}

#[test]
fn missing_objects_are_repositorys_fault() {
    let world = World::new();
    let origin = world.origin("a");
    let nothing = Oid::from_str(&"1".repeat(40)).unwrap();
    for (n, entry) in [("100644", "file", nothing), ("40000", "folder", nothing)].into_iter().enumerate() {
        let branch = format!("broken{n}");
        origin.commit_tree(&branch, origin.raw_tree(&[entry]), None);
        let mut request = world.request(&origin.url(), &branch);
        request.into = world.path(&branch);
        let failure = world.run(&request).unwrap_err();
        assert_eq!(failure.kind, Kind::Damaged, "{failure}");
        origin.repository.find_reference(&format!("refs/heads/{branch}")).unwrap().delete().unwrap();
    }
}

#[test]
fn rejects_branch_of_a_blob() {
    let world = World::new();
    let origin = world.origin("a");
    let blob = origin.repository.odb().unwrap().write(ObjectType::Blob, b"x").unwrap();
    let file = origin.path.join("refs/heads/blob");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, format!("{blob}\n")).unwrap();
    let failure = world.checkout(&origin.url(), "blob").unwrap_err();
    assert_eq!(failure.kind, Kind::Damaged, "{failure}");
    assert!(failure.message.ends_with("is no commit"), "{failure}");
}

#[test]
fn rejects_huge_commit_object() {
    let world = World::new();
    let origin = world.origin("a");
    let tree = origin.raw_tree(&[]);
    let by = "A <a@b> 1700000000 +0000";
    let text = format!("tree {tree}\nauthor {by}\ncommitter {by}\n\n{}\n", "x".repeat(2 << 20));
    let commit = origin.repository.odb().unwrap().write(ObjectType::Commit, text.as_bytes()).unwrap();
    origin.repository.reference("refs/heads/main", commit, true, "").unwrap();
    let failure = world.checkout(&origin.url(), "main").unwrap_err();
    assert_eq!(failure.kind, Kind::TooLarge, "{failure}");
    assert!(failure.message.ends_with("has a message of more than 1 MiB"), "{failure}");
}

#[test]
fn checks_out_empty_tree() {
    let world = World::new();
    let origin = world.origin("a");
    origin.commit("main", &[]);
    let mut request = world.request(&origin.url(), "main");
    request.limits = Limits { files: 0, bytes: 10_000, ..Limits::default() };
    assert_eq!(world.run(&request).unwrap().files, 0);
}

#[test]
fn impossible_links_are_repositorys_fault() {
    let world = World::new();
    let origin = world.origin("a");
    for (n, target) in ["", &"x".repeat(4096)].iter().enumerate() {
        origin.commit(&n.to_string(), &[("link", Node::Link(target))]);
        let mut request = world.request(&origin.url(), &n.to_string());
        request.into = world.path(&format!("work{n}"));
        let failure = world.run(&request).unwrap_err();
        assert_eq!(failure.kind, Kind::Damaged, "{failure}");
        assert!(failure.message.ends_with("'link' is a link with an empty or too long target"), "{failure}");
    }
    origin.commit("long", &[("link", Node::Link(&"x".repeat(4095)))]);
    world.checkout(&origin.url(), "long").unwrap();
}

#[test]
fn tolerates_any_kind_of_git_files() {
    let world = World::new();
    let origin = world.origin("a");
    let gitlink = Oid::from_str(&"1".repeat(40)).unwrap();
    origin.commit(
        "folders",
        &[
            (".gitattributes/x", Node::File("* text=auto")),
            (".gitignore/x", Node::File("*")),
            (".gitmodules/x", Node::File("")),
            ("sub", Node::Gitlink(gitlink)),
            ("a.c", Node::File("1\r\n")),
        ],
    );
    let links = [
        (".gitattributes", Node::Link("/dev/zero")),
        (".gitignore", Node::Link("/dev/zero")),
        ("a.c", Node::File("1\r\n")),
    ];
    origin.commit("links", &links);
    origin.commit(
        "macros",
        &[
            (".gitattributes", Node::File(&"[attr]a a\n*.c a diff=x filter=evil ident\n".repeat(1000))),
            ("a.c", Node::File("$Id$")),
        ],
    );
    for branch in ["folders", "links", "macros"] {
        let mut request = world.request(&origin.url(), branch);
        request.into = world.path(branch);
        world.run(&request).unwrap_or_else(|failure| panic!("{branch}: {failure:?}"));
        assert!(request.into.join("a.c").is_file());
    }
}
