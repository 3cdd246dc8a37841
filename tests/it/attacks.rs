//! The attacks of `tests/attacks/`, at every level of the sandbox that this machine can give.
//!
//! One runner a level takes them one after the other; after each, the runner is well, an honest task passes, and nothing is
//! left anywhere. What ends otherwise than its file says fails the test, all at once, at the end.

mod annotation;
mod arena;
mod causes;
mod checkouts;
mod level;
mod outside;
mod remains;

use std::fmt::Write as _;
use std::fs;
use std::time::Instant;

use tokio::sync::Mutex;

use annotation::{Attack, Outcome};
use arena::{Answer, Arena};
use level::Level;

use crate::support::{eventually, running};

/// One level at a time: they would disturb each other's clocks.
static TURN: Mutex<()> = Mutex::const_new(());

#[tokio::test]
async fn bubblewrap_as_root() {
    all_at(Level::BwrapRoot).await;
}

#[tokio::test]
async fn bubblewrap_as_a_user() {
    all_at(Level::BwrapUser).await;
}

#[tokio::test]
async fn the_basic_level_as_root() {
    all_at(Level::BasicRoot).await;
}

#[tokio::test]
async fn the_basic_level_as_a_user() {
    all_at(Level::BasicUser).await;
}

/// The checks can fail: without a sandbox and without the plugin, what is harmless enough to be tried does leak.
#[tokio::test]
async fn without_a_sandbox_they_succeed() {
    all_at(Level::None).await;
}

async fn all_at(level: Level) {
    if !level.available() {
        return;
    }
    let _turn = TURN.lock().await;
    // Without what the plugin is told by, it does nothing.
    let bare = "env -u OSTEST_EVENTS -u OSTEST_SUITE -u OSTEST_WRITABLE {python} run_tests.py --src {src} --junit-xml={report}";
    let arguments: &[&str] = if level == Level::None { &["--test-command", bare] } else { &[] };
    let mut arena = Arena::start(level, arguments).await;
    let honest = arena.answer(&arena.submit("honest", "none", "")).await;
    assert_eq!(honest.outcome, Outcome::Success, "{}\n{}", honest.body, arena.runner.log());
    let mut remains = arena.remains();
    let mut table = Table::new(level);
    for attack in chosen(level) {
        let started = Instant::now();
        let (answer, problems) = arena.attack(&attack, &mut remains).await;
        table.row(&attack, &answer, started, &problems);
        if !problems.is_empty() {
            table.complain(&attack, &problems, &answer.body, &arena.runner.log());
        }
    }
    if level != Level::None && selection().is_none() {
        killed_in_the_middle(&mut arena).await;
    }
    table.end();
}

/// A runner that is killed while an attack holds on leaves nothing, and the next one goes on.
async fn killed_in_the_middle(arena: &mut Arena) {
    let mark = format!("leak-{:08x}", fastrand::u32(..));
    let name = format!("beside-{:06}", fastrand::u32(..1_000_000));
    let id = arena.submit("holds-on", &mark, &format!("NAME={name}\n"));
    let pids = || processes_named(&name);
    eventually("it holds on", || pids() >= 2).await;
    arena.runner.kill();
    eventually("nothing of it is left", || pids() == 0 && !running(&mark)).await;
    arena.restart().await;
    // The second time it is alone in the world and ends by itself.
    let answer = arena.answer(&id).await;
    assert_ne!(answer.outcome, Outcome::Leaked, "{}", answer.body);
    let mut remains = arena.remains();
    let honest = arena.answer(&arena.submit("honest", &mark, "")).await;
    assert_eq!(honest.outcome, Outcome::Success, "{}\n{}", honest.body, arena.runner.log());
    let left = remains.after(&mark).await;
    assert!(left.is_empty() && pids() == 0, "{left:?}");
}

/// What the kernel counts for each user, tasks of one user cannot take from each other.
#[tokio::test]
async fn who_takes_all_watchers_keeps_nobody_else_from_running() {
    for level in [Level::BwrapUser, Level::BasicUser] {
        if !level.available() {
            continue;
        }
        let _turn = TURN.lock().await;
        let arena = Arena::start(level, &[]).await;
        let name = format!("beside-{:06}", fastrand::u32(..1_000_000));
        let hog = arena.submit("many-watchers", "none", &format!("NAME={name}\nSECONDS=11\nHOLD=8\n"));
        eventually("it holds them", || processes_named(&name) > 0).await;
        let honest = arena.answer(&arena.submit("honest", "none", "")).await;
        assert_eq!(honest.outcome, Outcome::Success, "{}\n{}", honest.body, arena.runner.log());
        assert!(arena.backend.result_of(&hog).is_none(), "{}: it held them long enough", level.name());
        let hog = arena.answer(&hog).await;
        assert_eq!(hog.outcome, Outcome::Success, "{}", hog.body);
    }
}

fn processes_named(name: &str) -> usize {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter(|entry| {
            fs::read_to_string(entry.path().join("comm")).is_ok_and(|comm| comm.trim_end() == name)
        })
        .count()
}

/// The network is denied by the sandbox and by nothing else: with the host's, the same attack gets through.
#[tokio::test]
async fn with_the_hosts_network_the_backend_is_in_reach() {
    if !Level::BasicUser.available() {
        return;
    }
    let _turn = TURN.lock().await;
    let arena = Arena::start(Level::BasicUser, &["--network", "host"]).await;
    let answer = arena.answer(&arena.submit("net-backend", "none", "")).await;
    assert_eq!(answer.outcome, Outcome::Leaked, "{}", answer.body);
    let touched = arena.outside.touched();
    for service in ["TCP4", "TCP6", "UDP4", "UDP6"] {
        assert!(touched.iter().any(|line| line.starts_with(service)), "{service}: {touched:?}");
    }
}

/// The attacks that are asked for by name, where some are.
fn selection() -> Option<Vec<String>> {
    let names = std::env::var("RUNNER_TEST_ATTACKS").ok()?;
    Some(names.split(',').map(str::to_owned).collect())
}

fn chosen(level: Level) -> Vec<Attack> {
    let selection = selection();
    let wanted = |attack: &Attack| {
        attack.expect.contains_key(&level)
            && selection.as_ref().is_none_or(|names| names.contains(&attack.name))
    };
    annotation::all().into_iter().filter(wanted).collect()
}

/// What came of each attack, for people; and what was wrong, for the test.
struct Table {
    level: Level,
    rows: String,
    complaints: String,
    started: Instant,
}

impl Table {
    fn new(level: Level) -> Self {
        Self { level, rows: String::new(), complaints: String::new(), started: Instant::now() }
    }

    fn row(&mut self, attack: &Attack, answer: &Answer, started: Instant, problems: &[String]) {
        let wrong = if problems.is_empty() { "" } else { "  !!!" };
        let seconds = started.elapsed().as_secs_f32();
        let (name, outcome) = (&attack.name, answer.outcome.name());
        let words = answer.body["errorDetails"].as_str().unwrap_or_default();
        writeln!(self.rows, "{name:<22} {outcome:<8} {seconds:>5.1} s  {words}{wrong}").unwrap();
        self.save();
    }

    fn complain(&mut self, attack: &Attack, problems: &[String], body: &serde_json::Value, log: &str) {
        let tail: Vec<&str> = log.lines().rev().take(12).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        let problems = problems.join("\n  ");
        let head = format!("--- {} at {}\n  {problems}\n  {body}\n", attack.name, self.level.name());
        eprintln!("{head}");
        self.complaints += &(head + &tail.join("\n") + "\n");
    }

    fn save(&self) {
        let path = format!("{}/attacks-{}.txt", env!("CARGO_TARGET_TMPDIR"), self.level.name());
        fs::write(path, &self.rows).unwrap();
    }

    fn end(mut self) {
        writeln!(self.rows, "{:.1} s in all", self.started.elapsed().as_secs_f32()).unwrap();
        self.save();
        assert!(self.complaints.is_empty(), "{}\n{}", self.rows, self.complaints);
    }
}
