//! Hostile repositories: what they attack is the checkout, before any program of theirs runs. At every level of the
//! sandbox that this machine can give.

use std::io::{Read, Write};
use std::net::TcpListener;

use git2::{ObjectType, Oid, Signature};
use mock_backend::{NewTask, Settings};

use super::level::{Level, Users};
use super::turn;
use crate::support::{PASS, Repository, World, student, text};

/// `world` with its runner at `level`, which is what its log says.
async fn confine(world: World, level: Level) -> World {
    let world = world.confined(level.sandbox(), Users::new(level).runner);
    assert_eq!(world.runner.logs("sandbox_chosen").await["field.level"], level.sandbox());
    let drops = matches!(level, Level::BwrapRoot | Level::BasicRoot);
    let found = world.runner.enforces("uid-drop").await;
    assert_eq!(found.as_deref(), Some(if drops { "yes" } else { "no" }), "{level:?}");
    world
}

async fn details(world: &World, url: &str) -> String {
    let answer = world.answer(&world.backend.submit(NewTask::new(url, "main"))).await;
    assert_eq!(answer["isError"], true, "{answer}");
    text(&answer, "errorDetails").to_owned()
}

/// After an attack the next one passes and nothing is left.
async fn all_is_well(world: &World) {
    assert_eq!(world.answer(&world.submit(PASS)).await["isPassed"], true);
    world.assert_clean();
}

/// Makes `tree` the branch `main` of a repository that nobody has checked out.
fn commit_tree(world: &World, build: impl FnOnce(&git2::Repository) -> Oid) -> String {
    let folder = world.fresh("hostile");
    let repository = git2::Repository::init_bare(&folder).unwrap();
    let tree = repository.find_tree(build(&repository)).unwrap();
    let author = Signature::now("test", "test@example.org").unwrap();
    repository.commit(Some("refs/heads/main"), &author, &author, "test", &tree, &[]).unwrap();
    format!("file://{}", folder.display())
}

fn entry(tree: &mut Vec<u8>, mode: &str, name: &str, object: Oid) {
    tree.extend_from_slice(format!("{mode} {name}\0").as_bytes());
    tree.extend_from_slice(object.as_bytes());
}

#[tokio::test]
async fn refuses_tree_with_million_entries() {
    let _turn = turn::shared().await;
    million(Level::strongest()).await;
}

async fn million(level: Level) {
    let world = confine(World::start().await, level).await;
    let url = commit_tree(&world, |repository| {
        let file = repository.blob(b"x").unwrap();
        let mut tree = Vec::new();
        for number in 0..1_000_000 {
            entry(&mut tree, "100644", &format!("f{number:07}"), file);
        }
        repository.odb().unwrap().write(ObjectType::Tree, &tree).unwrap()
    });
    let details = details(&world, &url).await;
    assert!(details.contains("more than 100000 files and folders"), "{details}");
    all_is_well(&world).await;
}

#[tokio::test]
async fn packed_bomb_is_refused_before_unpacking() {
    let _turn = turn::shared().await;
    bomb(Level::strongest()).await;
}

async fn bomb(level: Level) {
    // Compressing the bombs keeps the backend, which runs in this thread, from answering for seconds.
    let arguments = ["--max-repository", "64M", "--claim-timeout", "60"];
    let world = World::with(Settings::default(), &arguments).await;
    let world = confine(world, level).await;
    // A quarter of a megabyte as it is transferred: one blob of 200 MB, and one of 8 MB in a hundred places.
    let large = commit_tree(&world, |repository| {
        let blob = repository.blob(&vec![0; 200 << 20]).unwrap();
        let mut tree = Vec::new();
        entry(&mut tree, "100644", "zeros", blob);
        repository.odb().unwrap().write(ObjectType::Tree, &tree).unwrap()
    });
    let many = commit_tree(&world, |repository| {
        let blob = repository.blob(&vec![0; 8 << 20]).unwrap();
        let mut tree = Vec::new();
        for number in 0..100 {
            entry(&mut tree, "100644", &format!("zeros{number:03}"), blob);
        }
        repository.odb().unwrap().write(ObjectType::Tree, &tree).unwrap()
    });
    for url in [large, many] {
        let details = details(&world, &url).await;
        assert!(details.contains("64 MiB"), "{details}");
    }
    all_is_well(&world).await;
}

#[tokio::test]
async fn submodules_reach_nothing_local() {
    let _turn = turn::shared().await;
    submodules(Level::strongest()).await;
}

async fn submodules(level: Level) {
    let world = World::with_git_config(|folder| {
        format!("[url \"file://{}/\"]\n\tinsteadOf = https://git.example/\n", folder.display())
    })
    .await;
    let world = confine(world, level).await;
    let secret = Repository::init(&world.folder().join("secret"));
    let commit = secret.commit(&[("password", "sesame")]);
    let owned = world.folder().join("owned");
    let folder = world.folder().display().to_string();
    let claim = format!("{}/api/task/available", world.backend.url());
    let urls = [
        format!("file://{folder}/secret"),
        format!("{folder}/secret"),
        "../../../../secret".to_owned(),
        format!("ext::sh -c 'touch {}'", owned.display()),
        format!("ext::touch% {}", owned.display()),
        format!("-u{folder}/x"),
        format!("ssh://-oProxyCommand=touch%20{}/x", owned.display()),
        claim.clone(),
        format!("{claim}?x="),
        format!("{claim}#"),
        format!("{claim}?"),
    ];
    for (number, submodule) in urls.iter().enumerate() {
        let name = format!("course/student-{number}");
        let hostile = student(&world.folder().join(&name), "cat lib/password; exit 3");
        hostile.submodule("lib", submodule, &commit);
        // A claim that the checkout made would take this task away from the runner.
        let next = student(&world.folder().join(format!("{name}-next")), PASS);
        drop(next);
        let url = format!("https://git.example/{name}");
        let id = world.backend.submit(NewTask::new(&url, "main"));
        let next = world.backend.submit(NewTask::new(&format!("{url}-next"), "main"));
        let answer = world.answer(&id).await;
        assert_eq!(answer["isError"], true, "{submodule}: {answer}");
        assert!(!answer.to_string().contains("sesame"), "{submodule}: {answer}");
        assert_eq!(world.answer(&next).await["isPassed"], true, "{submodule}");
        assert!(!owned.exists(), "{submodule}");
    }
    world.assert_clean();
}

#[tokio::test]
async fn redirect_to_backend_claims_no_task() {
    let _turn = turn::shared().await;
    redirects(Level::strongest()).await;
}

async fn redirects(level: Level) {
    let world = confine(World::with(Settings::default(), &["--attempts", "1"]).await, level).await;
    let claim = format!("{}/api/task/available", world.backend.url());
    for location in [
        claim.clone(),
        format!("{claim}?x=/info/refs?service=git-upload-pack"),
        format!("{claim}#/info/refs?service=git-upload-pack"),
    ] {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/student.git", server.local_addr().unwrap());
        std::thread::spawn(move || {
            for mut connection in server.incoming().flatten() {
                let mut request = [0; 4096];
                connection.read(&mut request).unwrap_or_default();
                let answer =
                    format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
                connection.write_all(answer.as_bytes()).ok();
            }
        });
        let id = world.backend.submit(NewTask::new(&url, "main"));
        let next = world.submit(PASS);
        assert_eq!(world.answer(&id).await["isError"], true);
        assert_eq!(world.answer(&next).await["isPassed"], true);
    }
    world.assert_clean();
}

#[tokio::test]
#[ignore = "takes minutes; tests/deep.sh runs it"]
async fn hostile_repositories_fail_at_every_level() {
    for level in Level::CONFINED.into_iter().filter(|level| level.available()) {
        let _turn = turn::shared().await;
        million(level).await;
        bomb(level).await;
        submodules(level).await;
        redirects(level).await;
    }
}
