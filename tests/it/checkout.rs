//! Tests of the checkout: each failure has its own error text, and none hangs or shows a secret.

use mock_backend::NewTask;

use crate::support::{PASS, Repository, World, student, text};

async fn details(world: &World, url: &str, branch: &str) -> String {
    let id = world.backend.submit(NewTask::new(url, branch));
    let answer = world.answer(&id).await;
    assert_eq!(answer["isError"], true, "{answer}");
    text(&answer, "errorDetails").to_owned()
}

#[tokio::test]
async fn checks_out_requested_branch() {
    let world = World::start().await;
    let repository = student(&world.fresh("student"), "exit 7");
    repository.branch("lab/2");
    repository.commit(&[("run.sh", PASS)]);
    repository.branch("main-again");
    let id = world.backend.submit(NewTask::new(&repository.url(), "lab/2"));
    assert_eq!(world.answer(&id).await["isPassed"], true);
    assert!(details(&world, &repository.url(), "main").await.contains("exit code 7"));
}

#[tokio::test]
async fn checkout_failures_name_what_failed() {
    let world =
        World::with(mock_backend::Settings::default(), &["--attempts", "1", "--max-repository", "1M"]).await;
    let repository = student(&world.fresh("student"), PASS);
    let empty = Repository::init(&world.fresh("empty"));
    let large = student(&world.fresh("large"), PASS);
    large.commit(&[("zeros", &"0".repeat(3 << 20))]);
    let missing = format!("file://{}", world.fresh("nothing").display());
    for (url, branch, name) in [
        (repository.url(), "no-such-branch", "no-such-branch"),
        (repository.url(), "--upload-pack=x", "--upload-pack=x"),
        (repository.url(), "-b", "-b"),
        (empty.url(), "main", "empty-"),
        (large.url(), "main", "1 MiB"),
        (missing.clone(), "main", missing.trim_start_matches("file://")),
        ("http://127.0.0.1:9/x.git".to_owned(), "main", "127.0.0.1:9"),
    ] {
        let details = details(&world, &url, branch).await;
        assert!(details.contains(name), "{url} {branch}: {details}");
    }
    world.assert_clean();
}

#[tokio::test]
async fn hides_password_of_repository_url() {
    let world = World::with(mock_backend::Settings::default(), &["--attempts", "1"]).await;
    let details = details(&world, "http://user:s3cret-word@127.0.0.1:9/x.git", "main").await;
    assert!(!details.contains("s3cret-word"), "{details}");
    assert!(!world.runner.log().contains("s3cret-word"), "{}", world.runner.log());
}

#[tokio::test]
async fn applies_operators_instead_of() {
    // The runner checks the scheme before the rewrite, so the operator may rewrite https to a local path.
    let world = World::with_git_config(|folder| {
        format!("[url \"file://{}/\"]\n\tinsteadOf = https://git.example/\n", folder.display())
    })
    .await;
    student(&world.folder().join("course/student"), PASS);
    student(&world.folder().join("course/other.git"), PASS);
    // Like git, the runner also tries the path with `.git` appended.
    for name in ["student", "other.git", "other"] {
        let url = format!("https://git.example/course/{name}");
        let answer = world.answer(&world.backend.submit(NewTask::new(&url, "main"))).await;
        assert_eq!(answer["isPassed"], true, "{name}: {answer}");
    }
}

#[tokio::test]
async fn checks_out_submodules_but_no_hostile_ones() {
    let world = World::start().await;
    let library = Repository::init(&world.fresh("library"));
    let commit = library.commit(&[("pass.sh", PASS)]);
    let repository = student(&world.fresh("student"), "cd lib && sh pass.sh");
    repository.submodule("lib", &library.url(), &commit);
    let id = world.backend.submit(NewTask::new(&repository.url(), "main"));
    assert_eq!(world.answer(&id).await["isPassed"], true);

    let hostile = student(&world.fresh("student"), PASS);
    hostile.submodule("lib", "ext::sh -c 'touch owned'", &commit);
    let details = details(&world, &hostile.url(), "main").await;
    assert!(details.contains("lib"), "{details}");
}

#[tokio::test]
async fn checkout_deadline_ends_wait_for_silent_server() {
    let world = World::with(mock_backend::Settings::default(), &["--timeout", "1"]).await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("git://127.0.0.1:{}/x.git", silent.local_addr().unwrap().port());
    assert_eq!(details(&world, &url, "main").await, "timed out after 1 s in checkout");
    world.assert_clean();
}
