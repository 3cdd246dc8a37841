//! A second attempt fetches only new objects, and a damaged cache does no harm.

use std::fs;

use super::support::{Node, World, git_daemon};
use crate::git::{CheckedOut, Checkout};

/// Adds a commit to an origin: the first one with a long file that does not compress.
fn grow(world: &World, name: &str, round: u64) {
    let mut random = fastrand::Rng::with_seed(round);
    let long: String = (0..200_000).map(|_| random.alphanumeric()).collect();
    let origin = world.origin(name);
    let first = ("long", Node::File(&long));
    let second = (format!("round-{round}"), Node::File("x"));
    let nodes = if round == 0 { vec![first] } else { vec![(second.0.as_str(), second.1)] };
    origin.commit("main", &nodes);
}

fn attempt(world: &World, request: &Checkout, name: &str) -> CheckedOut {
    let request = Checkout { into: world.path(name), ..request.clone() };
    let done = world.run(&request).unwrap();
    let repository = git2::Repository::open(&request.into).unwrap();
    assert!(repository.statuses(None).unwrap().is_empty(), "git status is clean");
    assert!(repository.references().unwrap().flatten().all(|name| name.name() != Ok("refs/ostest/known")));
    done
}

#[test]
fn next_attempt_fetches_only_new_objects() {
    let world = World::new();
    grow(&world, "a.git", 0);
    let Some(server) = git_daemon(&world) else { return };
    let mut request = world.request(&server.url("git", "a.git"), "main");
    request.cache = Some(world.path("cache"));
    let whole = attempt(&world, &request, "first").received;
    assert!(whole > 100_000, "{whole}");
    let again = attempt(&world, &request, "second").received;
    assert!(again < 1_000, "nothing is new: {again}");
    for round in 1..=30 {
        grow(&world, "a.git", round);
        let done = attempt(&world, &request, &format!("attempt-{round}"));
        assert!(world.path(&format!("attempt-{round}/round-{round}")).exists(), "it is the newest");
        assert!(world.path(&format!("attempt-{round}/round-1")).exists() == (round >= 1));
        // The cache is emptied when it has too many packs; then everything is fetched again.
        assert!(done.received < 10_000 || round > 20, "round {round}: {}", done.received);
    }
    let packs = fs::read_dir(world.path("cache")).unwrap().flatten();
    assert!(packs.filter(|entry| entry.path().extension().is_some_and(|end| end == "pack")).count() <= 24);
}

#[test]
fn discards_damaged_cache() {
    let world = World::new();
    grow(&world, "a.git", 0);
    let Some(server) = git_daemon(&world) else { return };
    let mut request = world.request(&server.url("git", "a.git"), "main");
    let cache = world.path("cache");
    request.cache = Some(cache.clone());
    attempt(&world, &request, "first");
    let pack = |end: &str| {
        let entries = fs::read_dir(&cache).unwrap().flatten().map(|entry| entry.path());
        entries.into_iter().find(|path| path.extension().is_some_and(|found| found == end)).unwrap()
    };
    let harms: Vec<Box<dyn Fn() + '_>> = vec![
        Box::new(|| fs::write(pack("pack"), "torn").unwrap()),
        Box::new(|| fs::write(pack("idx"), "").unwrap()),
        Box::new(|| fs::write(cache.join("tip"), "0123456789012345678901234567890123456789").unwrap()),
        Box::new(|| fs::write(cache.join("shallow"), "nonsense\n").unwrap()),
        Box::new(|| fs::remove_file(pack("pack")).unwrap()),
        Box::new(|| {
            let pack = pack("pack");
            let mut bytes = fs::read(&pack).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0xff;
            fs::write(pack, bytes).unwrap();
        }),
    ];
    for (number, harm) in harms.iter().enumerate() {
        harm();
        attempt(&world, &request, &format!("harmed-{number}"));
        let done = attempt(&world, &request, &format!("after-{number}"));
        assert!(done.received < 1_000, "harm {number}: it is kept again: {}", done.received);
    }
}

#[test]
fn concurrent_checkouts_of_branches_work() {
    let world = World::new();
    grow(&world, "a.git", 0);
    world.origin("a.git").commit("lab2", &[("other", Node::File("y"))]);
    let Some(server) = git_daemon(&world) else { return };
    let mut request = world.request(&server.url("git", "a.git"), "main");
    request.cache = Some(world.path("cache"));
    std::thread::scope(|scope| {
        for number in 0..6 {
            let (world, request) = (&world, &request);
            scope.spawn(move || {
                for round in 0..5 {
                    let branch = if (number + round) % 2 == 0 { "main" } else { "lab2" };
                    let request = Checkout { branch: Some(branch.to_owned()), ..request.clone() };
                    attempt(world, &request, &format!("at-once-{number}-{round}"));
                }
            });
        }
    });
}
