//! Tests of the sources of passwords; the runner never shows one.

use std::fs;

use mock_backend::{Settings, User};

use super::{Setup, error};
use crate::support::{PASS, Ran, World, eventually};

#[test]
fn config_never_shows_passwords() {
    let setup = Setup::with(
        "password = \"word-in-file\"\nauth = true\ntests_url = \"https://u:word-in-url@h/x.git?t=word-in-query\"\nget_api = \"/a?token=word-in-path\"\n",
    );
    fs::write(setup.path().join("secret"), "word-in-secret").unwrap();
    let secret = format!("--password-file {}/secret", setup.path().display());
    for (arguments, environment, origin) in [
        ("", "", "file FILE:1".to_owned()),
        ("", "word-in-environment", "environment RUNNER_PASSWORD".to_owned()),
        ("--password word-in-flag", "word-in-environment", "flag".to_owned()),
        (secret.as_str(), "word-in-environment", format!("file {}/secret", setup.path().display())),
    ] {
        for json in ["", "--json"] {
            let mut command = setup.runner(&format!("config show {json} {arguments}"));
            if !environment.is_empty() {
                command.env("RUNNER_PASSWORD", environment);
            }
            let output = command.output().unwrap();
            let text = String::from_utf8(output.stdout.clone()).unwrap() + &error(&output);
            assert!(output.status.success() && !text.contains("word-in"), "{arguments}: {text}");
            if json.is_empty() {
                assert_eq!(setup.shows(&mut command, "password"), format!("# password = *** # {origin}"));
            }
        }
    }
    let tests_url = setup.shows(&mut setup.runner("config show"), "tests_url");
    assert_eq!(tests_url, "tests_url = \"https://***@h/x.git?***\" # file FILE:3");
    let check = setup.runner("config check").output().unwrap();
    assert!(check.status.success(), "{}", error(&check));
}

#[test]
fn file_with_password_must_be_private() {
    let setup = Setup::with("timeout = 5\npassword = \"word\"\n");
    for mode in [0o640, 0o604, 0o660, 0o644, 0o601] {
        setup.mode(mode);
        let (place, remedy) =
            (format!("{}:2: password: ", setup.file()), format!("chmod 600 {}", setup.file()));
        let ran = Ran::of(&mut setup.runner("config check")).ends_with(2);
        ran.names(&[&place, &format!("{mode:04o}"), &remedy]);
    }
    setup.mode(0o400);
    assert!(setup.runner("config check").output().unwrap().status.success());
    setup.write("timeout = 5\n");
    setup.mode(0o644);
    assert!(
        setup.runner("config check").output().unwrap().status.success(),
        "a file without a password need not be private"
    );
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
    // A password from the environment overrides the credential.
    fs::write(credentials.path().join("password"), "wrong").unwrap();
    works_with(&mut world, &[("CREDENTIALS_DIRECTORY", folder), ("RUNNER_PASSWORD", "from-systemd")]).await;
}

async fn works_with(world: &mut World, environment: &[(&str, &str)]) {
    world.restart_with(environment);
    // Wait, because a claim of the previous runner that is still in flight would lose the task.
    eventually("the runner logs in", || world.runner.logged("logged_in")).await;
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
    eventually("the runner has started", || other.runner.logged("runner_started")).await;
    assert!(!other.runner.logged("password_on_command_line"));
}
