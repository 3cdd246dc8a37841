//! Tests of supervised commands: all processes of a command end with it, even if its supervisor is killed.

use std::path::Path;
use std::time::{Duration, Instant};

use sandbox::command::{Deadline, Exit, Launcher, Settings, Spec, StartError, Stopped};
use text::units;
use tokio_util::sync::CancellationToken;

use crate::support::{eventually, running};

fn launcher() -> Launcher {
    let settings = Settings { grace: Duration::from_millis(500), keep_output: units::size("1K").unwrap() };
    Launcher::new(env!("CARGO_BIN_EXE_runner"), "test", settings)
}

/// A shell command. It and all its descendants have `mark` in their environments.
fn shell(script: &str, mark: &str) -> Spec {
    Spec {
        program: "sh".to_owned(),
        args: vec!["-c".to_owned(), script.to_owned()],
        env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned()), ("MARK".to_owned(), mark.to_owned())],
        dir: Path::new("/").to_owned(),
        ..Spec::default()
    }
}

fn mark(name: &str) -> String {
    format!("mark-{name}-{}-{}", std::process::id(), fastrand::u64(..))
}

async fn run(script: &str, limit: Duration, mark: &str) -> Exit {
    launcher().run(shell(script, mark), &Deadline::within(limit)).await.unwrap()
}

const LONG_LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn returns_exit_code_and_output() {
    let exit = run("echo out; echo err >&2; exit 3", LONG_LIMIT, "x").await;
    assert_eq!((exit.code, exit.signal, exit.stopped), (Some(3), None, None));
    assert_eq!((exit.stdout.text().as_str(), exit.stderr.text().as_str()), ("out\n", "err\n"));
    assert_eq!(exit.last_words().as_deref(), Some("err"));
}

#[tokio::test]
async fn distinguishes_signal_from_exit_code() {
    let exit = run("kill -9 $$", LONG_LIMIT, "x").await;
    assert_eq!((exit.code, exit.signal), (None, Some(9)));
    assert_eq!(exit.describe(), "signal 9 (SIGKILL)");
}

#[tokio::test]
async fn stdin_ends_after_given_bytes() {
    let spec = Spec { stdin: "secret\n".to_owned(), ..shell("cat; cat", "x") };
    let exit = launcher().run(spec, &Deadline::within(LONG_LIMIT)).await.unwrap();
    assert_eq!(exit.stdout.text(), "secret\n");
    assert_eq!(run("cat", LONG_LIMIT, "x").await.stdout.total, 0);
}

#[tokio::test]
async fn inherits_only_given_environment() {
    let exit =
        run("env | sort; ls -l /proc/self/fd | wc -l; ps -o tty= -p $$ || true", LONG_LIMIT, "m").await;
    let text = exit.stdout.text();
    let names: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    assert_eq!(names, ["MARK", "OSTEST_COMMAND", "PATH", "PWD"], "{text}");
    // `ls` prints a header, stdin, stdout, stderr, and the folder that it reads.
    assert!(text.contains("\n5\n"), "{text}");
}

#[tokio::test]
async fn missing_program_is_typed_error() {
    let spec = Spec { program: "no-such-program".to_owned(), ..shell("", "x") };
    match launcher().run(spec, &Deadline::within(LONG_LIMIT)).await {
        Err(StartError::Program { program, reason, .. }) => {
            assert_eq!(program, "no-such-program");
            assert!(reason.contains("No such file"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    let spec = Spec { dir: "/no/such/folder".into(), ..shell("true", "x") };
    let error = launcher().run(spec, &Deadline::within(LONG_LIMIT)).await.unwrap_err();
    assert!(error.to_string().contains("/no/such/folder"), "{error}");
}

#[tokio::test]
async fn end_is_noticed_without_polling() {
    let started = Instant::now();
    for _ in 0..10 {
        run("true", LONG_LIMIT, "x").await;
    }
    // Ten commands end faster than a supervisor that polls could notice.
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test]
async fn daemons_end_with_their_command() {
    let mark = mark("daemon");
    let exit = run(
        "(setsid sh -c 'trap \"\" TERM INT HUP; sleep 300 & sleep 300' &) ; sleep 0.2",
        LONG_LIMIT,
        &mark,
    )
    .await;
    assert_eq!(exit.code, Some(0));
    assert!(exit.leftovers >= 1, "{exit:?}");
    assert!(!running(&mark), "the grandchild still runs");
}

#[tokio::test]
async fn chain_of_forks_ends() {
    let mark = mark("chain");
    // Each process forks the next one and ends at once, so a list of processes is always out of date.
    let chain =
        "chain() { sh -c \"$LINK\" & }; export LINK='sleep 0.01; sh -c \"$LINK\" &'; chain; sleep 0.3";
    run(chain, LONG_LIMIT, &mark).await;
    assert!(!running(&mark), "a process of the chain still runs");
}

#[tokio::test]
async fn deadline_interrupts_before_it_kills() {
    let exit =
        run("trap 'echo written; exit 7' INT; while :; do sleep 0.05; done", Duration::from_millis(300), "x")
            .await;
    assert_eq!((exit.stopped, exit.code), (Some(Stopped::Deadline), Some(7)));
    assert_eq!(exit.stdout.text(), "written\n");
}

#[tokio::test]
async fn kills_program_that_ignores_signals() {
    let mark = mark("deaf");
    let exit =
        run("trap '' INT TERM HUP; while :; do sleep 0.05; done", Duration::from_millis(200), &mark).await;
    assert_eq!((exit.stopped, exit.signal), (Some(Stopped::Deadline), Some(9)));
    assert!(exit.wall < Duration::from_secs(4), "{:?}", exit.wall);
    assert!(!running(&mark));
}

#[tokio::test]
async fn ends_stopped_command() {
    let mark = mark("stopped");
    let exit = run("kill -STOP $$; sleep 300", Duration::from_millis(200), &mark).await;
    assert_eq!(exit.stopped, Some(Stopped::Deadline));
    assert!(!running(&mark));
}

#[tokio::test]
async fn command_cannot_escape_by_attacking_supervisor() {
    for signal in ["STOP", "KILL"] {
        let mark = mark(signal);
        let script = format!("(setsid sleep 300 &); sleep 0.1; kill -{signal} $PPID; sleep 300");
        let exit = run(&script, Duration::from_secs(1), &mark).await;
        assert!(exit.wall < Duration::from_secs(6), "{signal}: {:?}", exit.wall);
        eventually("all processes of the command have ended", || !running(&mark)).await;
    }
}

#[tokio::test]
async fn interrupt_ends_command_like_deadline() {
    let interrupt = CancellationToken::new();
    let deadline = Deadline::new(Instant::now(), Duration::ZERO, interrupt.clone());
    let launcher = launcher();
    let (exit, ()) = tokio::join!(launcher.run(shell("sleep 300", "x"), &deadline), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        interrupt.cancel();
    });
    assert_eq!(exit.unwrap().stopped, Some(Stopped::Interrupt));
}

#[tokio::test]
async fn dropped_command_is_ended() {
    let mark = mark("dropped");
    let command = launcher().start(shell("(setsid sleep 300 &); sleep 300", &mark)).await.unwrap();
    eventually("the command runs", || running(&mark)).await;
    drop(command);
    eventually("the command has ended", || !running(&mark)).await;
}

#[tokio::test]
async fn output_flood_keeps_head_and_tail() {
    let folder = tempfile::tempdir().unwrap();
    // The limit applies to output in files, as for a suite. Output of tools in memory is kept in full.
    let spec = Spec {
        output: Some(folder.path().join("output")),
        ..shell("echo first; head -c 200000000 /dev/zero; echo; echo last", "x")
    };
    let exit = launcher().run(spec, &Deadline::within(LONG_LIMIT)).await.unwrap();
    assert_eq!(exit.stdout.total, 200_000_000 + 12);
    assert!(exit.stdout.head.starts_with(b"first\n"));
    assert!(exit.stdout.tail.ends_with(b"\nlast\n"));
    assert_eq!(exit.stdout.head.len() + exit.stdout.tail.len(), 2048);
}

#[tokio::test]
async fn open_pipe_does_not_block_end() {
    // The grandchild is a daemon that holds the command's stdout. The supervisor kills it and has the complete output.
    let exit = run("echo first; (setsid sleep 300 &)", LONG_LIMIT, "x").await;
    assert_eq!(exit.stdout.text(), "first\n");
    assert!(exit.wall < Duration::from_secs(3), "{:?}", exit.wall);
}
