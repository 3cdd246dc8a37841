//! Files of settings that are wrong: one line names the file, the line, the setting and the value.

use std::fs;

use mock_backend::Settings;

use super::{Desk, bounded};
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
        let desk = Desk::with(settings);
        let ran = Ran::of(&mut desk.runner("config check")).ends_with(2).names(&[]);
        let line = ran.stderr.replace(&desk.file(), "FILE");
        for name in names {
            assert!(line.contains(name), "{settings}: {name:?} is not in {line}");
        }
        assert_eq!(ran.stdout, "", "{settings}");
    }
}

#[test]
fn every_command_refuses_wrong_file() {
    let desk = Desk::with("nonsense = 1");
    // The folder ends a daemon that takes the file after all.
    for words in ["--state-dir /dev/null/x", "spool list", "config show"] {
        let ran = Ran::of(&mut desk.runner(words)).ends_with(2);
        assert!(ran.stderr.contains("nonsense"));
    }
    fs::remove_file(desk.file()).unwrap();
    let file = format!("--config {}: ", desk.file());
    Ran::of(&mut desk.runner("config check")).ends_with(2).names(&[&file]);
    Ran::of(&mut desk.runner("--help")).ends_with(0);
}

#[test]
fn endless_files_and_silent_pipes_are_refused() {
    let desk = Desk::with("timeout = 5\n");
    let pipe = desk.path().join("pipe").display().to_string();
    let made = nix::unistd::mkfifo(pipe.as_str(), nix::sys::stat::Mode::from_bits_truncate(0o600));
    made.unwrap();
    let long = desk.path().join("long").display().to_string();
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
        let ran = bounded(&["config", "check", option, file], desk.path()).ends_with(2);
        ran.names(&[&format!("{option} {file}: "), names]);
    }
}

#[tokio::test]
async fn wrong_file_does_not_fail_healthcheck() {
    let world = World::with(Settings::default(), &["--listen", "127.0.0.1:0"]).await;
    let address = crate::observing::address(&world.runner).await;
    let desk = Desk::with("timout = 5\n");
    let state = world.folder().join("state").display().to_string();
    for (words, code) in [
        (format!("healthcheck --url http://{address}"), 0),
        (format!("spool list --state-dir {state}"), 0),
        (format!("run . --state-dir {state}"), 2),
    ] {
        Ran::of(&mut desk.runner(&words)).ends_with(code).names(&["timout"]);
    }
}
