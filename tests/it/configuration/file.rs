//! Tests of wrong settings files: one error line names the file, the line, the setting and the value.

use std::fs;

use mock_backend::Settings;

use super::{Setup, bounded};
use crate::support::{Ran, World};

#[test]
fn wrong_file_error_names_line_and_key() {
    let cases: [(&str, &[&str]); 17] = [
        ("\ntimeout = \"soon\"", &["FILE:2: timeout: ", "'soon'", "--timeout", "5, 0.1"]),
        ("concurrent = 0", &["FILE:1: concurrent: ", "'0'", "--concurrent", "1"]),
        ("concurrent = -1", &["FILE:1: concurrent: ", "'-1'"]),
        ("auth = \"perhaps\"", &["FILE:1: auth: ", "'perhaps'", "--auth", "true"]),
        ("logger_level = \"loud\"", &["logger_level", "debug, info, warning, error, critical"]),
        ("sandbox_uid = 5", &["FILE:1: sandbox_uid: ", "'5'"]),
        ("backend_url = \"http://u:secret@h/?q\"", &["http://***@h/?***"]),
        ("timeout = 5\ntimout = 5", &["FILE:2: timout: ", " timeout?"]),
        ("back-end-url = \"http://h\"", &["FILE:1: back-end-url: ", " backend_url?"]),
        ("xyzzy = 1", &["FILE:1: xyzzy: ", "`runner config show`"]),
        ("lab = 1", &["FILE:1: lab: "]),
        ("timeout = 5\n[backend]\nlogin = \"x\"", &["FILE:2: backend: "]),
        ("timeout = [1, 2]", &["FILE:1: timeout: "]),
        ("timeout = 1979-05-27", &["FILE:1: timeout: "]),
        ("state_dir = \"/a\"\n\nstate-dir = \"/b\"", &["FILE:3: state-dir: ", "1"]),
        ("timeout = 5\ntimeout = 6", &["FILE:2: "]),
        ("\n\ntimeout = = 5", &["FILE:3: "]),
    ];
    for (settings, names) in cases {
        let setup = Setup::with(settings);
        let ran = Ran::of(&mut setup.runner("config check")).ends_with(2).names(&[]);
        let line = ran.stderr.replace(&setup.file(), "FILE");
        for name in names {
            assert!(line.contains(name), "{settings}: {name:?} is not in {line}");
        }
        assert_eq!(ran.stdout, "", "{settings}");
    }
}

#[test]
fn every_command_refuses_wrong_file() {
    let setup = Setup::with("nonsense = 1");
    // If the daemon accepted the file, this state folder would end it.
    for arguments in ["--state-dir /dev/null/x", "spool list", "config show"] {
        let ran = Ran::of(&mut setup.runner(arguments)).ends_with(2);
        assert!(ran.stderr.contains("nonsense"));
    }
    fs::remove_file(setup.file()).unwrap();
    let file = format!("--config {}: ", setup.file());
    Ran::of(&mut setup.runner("config check")).ends_with(2).names(&[&file]);
    Ran::of(&mut setup.runner("--help")).ends_with(0);
}

#[test]
fn endless_files_and_silent_pipes_are_refused() {
    let setup = Setup::with("timeout = 5\n");
    let pipe = setup.path().join("pipe").display().to_string();
    let made = nix::unistd::mkfifo(pipe.as_str(), nix::sys::stat::Mode::from_bits_truncate(0o600));
    made.unwrap();
    let long = setup.path().join("long").display().to_string();
    fs::write(&long, "#".repeat((1 << 20) + 1)).unwrap();
    for (option, file, names) in [
        ("--config", "/dev/zero", "1024 KiB"),
        ("--config", &long, "1024 KiB"),
        ("--config", &pipe, "5 s"),
        ("--password-file", "/dev/zero", "64 KiB"),
        ("--password-file", &long, "64 KiB"),
        ("--password-file", &pipe, "5 s"),
        ("--password-file", "/dev/null", "empty"),
        ("--password-file", "/", "Is a directory"),
    ] {
        let ran = bounded(&["config", "check", option, file], setup.path()).ends_with(2);
        ran.names(&[&format!("{option} {file}: "), names]);
    }
}

#[tokio::test]
async fn wrong_file_does_not_fail_healthcheck() {
    let world = World::with(Settings::default(), &["--listen", "127.0.0.1:0"]).await;
    let address = crate::observing::address(&world.runner).await;
    let setup = Setup::with("timout = 5\n");
    let state = world.folder().join("state").display().to_string();
    for (arguments, code) in [
        (format!("healthcheck --url http://{address}"), 0),
        (format!("spool list --state-dir {state}"), 0),
        (format!("run . --state-dir {state}"), 2),
    ] {
        Ran::of(&mut setup.runner(&arguments)).ends_with(code).names(&["timout"]);
    }
}
