//! Tests of login, token refresh, and a backend that forgets its tokens.

use std::time::Duration;

use mock_backend::{Endpoint, Fault, FaultKind, Settings, User};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::observing::{address, get};
use crate::support::{PASS, World, eventually};

fn with_auth() -> Settings {
    Settings { auth: true, ..Settings::default() }
}

#[tokio::test]
async fn default_user_logs_in() {
    let world = World::with(with_auth(), &["--auth"]).await;
    let id = world.submit(PASS);
    assert_eq!(world.answer(&id).await["isPassed"], true);
}

#[tokio::test]
async fn refreshes_tokens_before_expiry() {
    let lifetime = Duration::from_secs(3);
    let world = World::with(Settings { access_lifetime: lifetime, ..with_auth() }, &["--auth"]).await;
    tokio::time::sleep(lifetime * 2).await;
    let id = world.submit(PASS);
    assert_eq!(world.answer(&id).await["isPassed"], true);
    let requests = world.backend.requests();
    let count = |wanted| requests.iter().filter(|request| request.endpoint == Some(wanted)).count();
    assert_eq!(count(Endpoint::Login), 1, "the runner logged in again instead of refreshing");
    assert!(count(Endpoint::Refresh) >= 2);
    assert!(
        requests.iter().all(|request| request.status != Some(401)),
        "no request went out with an old token"
    );
}

#[tokio::test]
async fn logs_in_again_after_backend_forgets() {
    let world = World::with(with_auth(), &["--auth", "--refresh-time", "1"]).await;
    assert_eq!(world.answer(&world.submit(PASS)).await["isPassed"], true);
    world.backend.expire_tokens();
    world.backend.forget_refresh_tokens();
    assert_eq!(world.answer(&world.submit(PASS)).await["isPassed"], true);
}

#[tokio::test]
async fn tolerates_clock_an_hour_off() {
    for offset in [-3_600_000, 3_600_000] {
        let world = World::with(Settings { clock_offset_ms: offset, ..with_auth() }, &["--auth"]).await;
        assert_eq!(world.answer(&world.submit(PASS)).await["isPassed"], true);
        let refreshes =
            world.backend.requests().iter().filter(|r| r.endpoint == Some(Endpoint::Refresh)).count();
        assert!(refreshes <= 1, "{refreshes} refreshes at once");
    }
}

#[tokio::test]
async fn wrong_password_is_logged_and_retried() {
    let mut world = World::with(with_auth(), &["--auth", "--password", "wrong-word"]).await;
    eventually("the refusal is in the log", || world.runner.logged("login_refused")).await;
    assert!(!world.runner.log().contains("wrong-word"));
    world.backend.add_user(User::admin("dora_explorer", "wrong-word"));
    assert_eq!(world.answer(&world.submit(PASS)).await["isPassed"], true);
    world.runner.signal(Signal::SIGTERM);
    assert!(world.runner.ended(Duration::from_secs(5)).await.success());
}

#[tokio::test]
async fn user_without_role_is_logged_once() {
    let settings = Settings { users: vec![User::admin("plain", "p").role("USER")], ..with_auth() };
    let world = World::with(settings, &["--auth", "--login", "plain", "--password", "p"]).await;
    let claims = |world: &World| {
        world.backend.requests().iter().filter(|request| request.endpoint == Some(Endpoint::Claim)).count()
    };
    eventually("the runner has polled several times", || claims(&world) >= 3).await;
    let [event] = world.runner.events("user_forbidden").try_into().unwrap();
    assert_eq!((&event["user"], &event["route"]), (&"plain".into(), &"/api/task/available".into()));
}

#[tokio::test]
async fn forbidden_without_login_is_logged_once() {
    let world = World::with(Settings::default(), &["--listen", "127.0.0.1:0"]).await;
    world.backend.fault(Fault::new(Endpoint::Claim, FaultKind::status(403)).forever());
    let refused =
        |world: &World| world.backend.requests().iter().filter(|request| request.status == Some(403)).count();
    eventually("the runner has polled several times", || refused(&world) >= 3).await;
    let [event] = world.runner.events("route_forbidden").try_into().unwrap();
    assert_eq!((&event["route"], &event["level"]), (&"/api/task/available".into(), &"critical".into()));
    let (_, ready) = get(address(&world.runner).await, "/readyz").await;
    assert!(ready.contains("failing credentials") && !ready.contains("dora_explorer"), "{ready}");
}

#[tokio::test]
async fn logs_in_with_password_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "dora_explorer\n").unwrap();
    let world = World::with(with_auth(), &["--auth", "--password-file", file.to_str().unwrap()]).await;
    assert_eq!(world.answer(&world.submit(PASS)).await["isPassed"], true);
}

#[tokio::test]
async fn password_vanishes_from_command_line() {
    let settings = Settings { users: vec![User::admin("u", "visible-word")], ..with_auth() };
    let world = World::with(settings, &["--auth", "--login", "u", "--password", "visible-word"]).await;
    assert_eq!(world.answer(&world.submit(PASS)).await["isPassed"], true);
    let folder = format!("/proc/{}", world.runner.pid());
    for name in ["cmdline", "environ"] {
        let bytes = std::fs::read(format!("{folder}/{name}")).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&bytes).contains("visible-word"), "{name}");
    }
    assert!(!world.runner.log().contains("visible-word"));
}

#[tokio::test]
async fn two_runners_share_one_user() {
    // The backend keeps one refresh token per user: a login or refresh of one runner invalidates the other's token.
    let lifetime = Duration::from_secs(3);
    let arguments = &["--auth", "--refresh-time", "1", "--check-interval", "200ms"];
    let world = World::with(Settings { access_lifetime: lifetime, ..with_auth() }, arguments).await;
    let elsewhere = world.fresh("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let suite = format!("file://{}/suite", world.folder().display());
    let mut all = vec!["--allow-local-repositories", "--tests-url", &suite];
    all.extend(arguments);
    let second = crate::support::Runner::start(&elsewhere, &world.backend.url(), &all);
    let mut ids = Vec::new();
    for _ in 0..16 {
        ids.push(world.submit(PASS));
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    for id in &ids {
        assert_eq!(world.answer(id).await["isPassed"], true);
    }
    let worked = |runner: &crate::support::Runner| runner.events("task_started").len();
    let (one, two) = (worked(&world.runner), worked(&second));
    assert!(one > 0 && two > 0 && one + two == 16, "tasks per runner: {one} and {two}");
    let invalidated = world
        .backend
        .requests()
        .iter()
        .filter(|r| r.endpoint == Some(Endpoint::Refresh) && r.status == Some(401))
        .count();
    assert!(invalidated > 0, "neither runner invalidated the other's token, so the test has no effect");
}

#[tokio::test]
async fn changed_password_file_needs_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "dora_explorer\n").unwrap();
    let world = World::with(with_auth(), &["--auth", "--password-file", file.to_str().unwrap()]).await;
    assert_eq!(world.answer(&world.submit(PASS)).await["isPassed"], true);
    let after_hangups = async |count| {
        world.runner.signal(Signal::SIGHUP);
        let read = || world.runner.events("reloaded").len() == count;
        eventually("the reload is logged", read).await;
        world.runner.events("reloaded").pop().unwrap()
    };
    let is_same = |event: &Value| event["changed"].is_null() && event["needs_restart"].is_null();
    assert!(is_same(&after_hangups(1).await));
    std::fs::write(&file, "rotated-word\n").unwrap();
    for count in [2, 3] {
        let line = after_hangups(count).await;
        assert_eq!(line["needs_restart"], "password");
        assert!(!line.to_string().contains("rotated"), "{line}");
    }
    std::fs::write(&file, "dora_explorer").unwrap();
    assert!(is_same(&after_hangups(4).await));
}
