//! Where passwords may come from, and that they are never shown.

use std::fs;

use mock_backend::{Settings, User};

use super::{Desk, error};
use crate::support::{PASS, Ran, World, eventually};

#[test]
fn config_never_shows_passwords() {
    let desk = Desk::with(
        "password = \"word-in-file\"\nauth = true\ntests_url = \"https://u:word-in-url@h/x.git?t=word-in-query\"\nget_api = \"/a?token=word-in-path\"\n",
    );
    fs::write(desk.path().join("secret"), "word-in-secret").unwrap();
    let secret = format!("--password-file {}/secret", desk.path().display());
    for (words, environment, origin) in [
        ("", "", "file FILE:1".to_owned()),
        ("", "word-in-environment", "environment RUNNER_PASSWORD".to_owned()),
        ("--password word-in-flag", "word-in-environment", "flag".to_owned()),
        (secret.as_str(), "word-in-environment", format!("file {}/secret", desk.path().display())),
    ] {
        for json in ["", "--json"] {
            let mut command = desk.runner(&format!("config show {json} {words}"));
            if !environment.is_empty() {
                command.env("RUNNER_PASSWORD", environment);
            }
            let output = command.output().unwrap();
            let text = String::from_utf8(output.stdout.clone()).unwrap() + &error(&output);
            assert!(output.status.success() && !text.contains("word-in"), "{words}: {text}");
            if json.is_empty() {
                assert_eq!(desk.shows(&mut command, "password"), format!("# password = *** # {origin}"));
            }
        }
    }
    let tests_url = desk.shows(&mut desk.runner("config show"), "tests_url");
    assert_eq!(tests_url, "tests_url = \"https://***@h/x.git?***\" # file FILE:3");
    let check = desk.runner("config check").output().unwrap();
    assert!(check.status.success(), "{}", error(&check));
}

#[test]
fn file_with_password_must_be_private() {
    let desk = Desk::with("timeout = 5\npassword = \"word\"\n");
    for mode in [0o640, 0o604, 0o660, 0o644, 0o601] {
        desk.mode(mode);
        let (place, mends) = (format!("{}:2: password: ", desk.file()), format!("chmod 600 {}", desk.file()));
        let ran = Ran::of(&mut desk.runner("config check")).ends_with(2);
        ran.names(&[&place, &format!("{mode:04o}"), &mends]);
    }
    desk.mode(0o400);
    assert!(desk.runner("config check").output().unwrap().status.success());
    desk.write("timeout = 5\n");
    desk.mode(0o644);
    assert!(desk.runner("config check").output().unwrap().status.success(), "there is nothing to hide in it");
}

fn with_a_user(password: &str) -> Settings {
    Settings { auth: true, users: vec![User::admin("dora_explorer", password)], ..Settings::default() }
}

#[tokio::test]
async fn finds_systemd_credential() {
    let credentials = tempfile::tempdir().unwrap();
    let folder = credentials.path().to_str().unwrap();
    let mut world = World::with(with_a_user("from-systemd"), &["--auth"]).await;
    eventually("the built-in password is refused", || world.runner.logged("login_refused")).await;
    let folder_alone = [("CREDENTIALS_DIRECTORY", folder)];
    for name in ["ostest-runner.password", "password"] {
        fs::write(credentials.path().join(name), "from-systemd\n").unwrap();
        works_with(&mut world, &folder_alone).await;
        fs::remove_file(credentials.path().join(name)).unwrap();
    }
    // What is said goes before the credential.
    fs::write(credentials.path().join("password"), "wrong").unwrap();
    works_with(&mut world, &[("CREDENTIALS_DIRECTORY", folder), ("RUNNER_PASSWORD", "from-systemd")]).await;
}

async fn works_with(world: &mut World, environment: &[(&str, &str)]) {
    world.restart_with(environment);
    // And no question of the runner before it is under way any more, which would take the task with it.
    eventually("it logs in", || world.runner.logged("logged_in")).await;
    world.answer(&world.submit(PASS)).await;
    assert!(!world.runner.logged("login_refused"), "{}", world.runner.log());
}

#[tokio::test]
async fn password_on_command_line_warns_once() {
    let world = World::with(with_a_user("on-the-line"), &["--auth", "--password", "on-the-line"]).await;
    world.answer(&world.submit(PASS)).await;
    assert_eq!(world.runner.events("password_on_command_line").len(), 1);
    assert!(!world.runner.log().contains("on-the-line"));
    let other = World::with(Settings::default(), &[]).await;
    eventually("it starts", || other.runner.logged("runner_started")).await;
    assert!(!other.runner.logged("password_on_command_line"));
}
