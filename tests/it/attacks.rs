//! The attacks of `tests/attacks/`, at every level of the sandbox that this machine can give.
//!
//! Several runners a level share them; each takes one after the other. After each, the runner is well, an honest task
//! passes, and nothing is left anywhere. What ends otherwise than its file says fails the test, all at once, at the end.
//!
//! `cargo test` runs a dozen at the strongest level; `tests/deep.sh` runs all of them at all levels, which takes minutes.

mod annotation;
mod arena;
mod causes;
mod checkouts;
mod level;
mod outside;
mod remains;
mod turn;

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use annotation::{Attack, Outcome};
use arena::{Answer, Arena};
use level::Level;

use crate::support::{eventually, running};

/// How many runners take the attacks of one level.
const RUNNERS: usize = 3;

/// What `cargo test` runs: forged verdicts, ways out of the sandbox, and limits.
const DOZEN: [&str; 12] = [
    "drops-json",
    "evil-conftest",
    "fills-disk",
    "forks-and-dies",
    "interrupts-pytest",
    "kills-everyone",
    "memory-4g",
    "neighbour",
    "net-backend",
    "proc-token",
    "report-forged",
    "writes-suite",
];

#[test]
fn a_dozen_at_the_strongest_level() {
    if selection().is_some() {
        return;
    }
    let level = Level::strongest();
    if level.available() {
        let attacks = annotation::all().into_iter().filter(|attack| DOZEN.contains(&attack.name.as_str()));
        run_at(level, attacks.collect());
    }
}

#[test]
#[ignore = "takes minutes; tests/deep.sh runs it"]
fn bubblewrap_as_root() {
    all_at(Level::BwrapRoot);
}

#[test]
#[ignore = "takes minutes; tests/deep.sh runs it"]
fn bubblewrap_as_a_user() {
    all_at(Level::BwrapUser);
}

#[test]
#[ignore = "takes minutes; tests/deep.sh runs it"]
fn the_basic_level_as_root() {
    all_at(Level::BasicRoot);
}

#[test]
#[ignore = "takes minutes; tests/deep.sh runs it"]
fn the_basic_level_as_a_user() {
    all_at(Level::BasicUser);
}

/// The checks can fail: without a sandbox and without the plugin, what is harmless enough to be tried does leak.
#[test]
#[ignore = "takes minutes; tests/deep.sh runs it"]
fn without_a_sandbox_they_succeed() {
    all_at(Level::None);
}

fn all_at(level: Level) {
    if level.available() {
        run_at(level, chosen(level));
    }
}

/// Attacks of one level that wait for a runner, and what came of the others.
struct Round {
    level: Level,
    waiting: Mutex<VecDeque<Attack>>,
    /// Those that hold on until the time limit of the runner: a runner with a short one takes them.
    endless: Mutex<VecDeque<Attack>>,
    table: Mutex<Table>,
}

fn run_at(level: Level, attacks: Vec<Attack>) {
    // Without root all runners have the same user, and without a sandbox all tasks see each other.
    let separate = nix::unistd::geteuid().is_root() && level != Level::None;
    let runners =
        if separate { RUNNERS.min(attacks.iter().filter(|attack| !attack.is_endless()).count()) } else { 1 };
    let full = level != Level::None && selection().is_none() && attacks.len() > DOZEN.len();
    let (endless, waiting): (Vec<_>, Vec<_>) = attacks.into_iter().partition(Attack::is_endless);
    let has_endless = !endless.is_empty();
    let round = Round {
        level,
        waiting: Mutex::new(waiting.into()),
        endless: Mutex::new(endless.into()),
        table: Mutex::new(Table::new(level)),
    };
    thread::scope(|scope| {
        let round = &round;
        if has_endless {
            let endless = scope
                .spawn(move || block_on(attack_runner(round, &round.endless, &["--timeout", "15"], false)));
            if !separate {
                endless.join().unwrap();
            }
        }
        for number in 0..runners {
            // A runtime each: the harness looks at all processes of the machine, which takes a while.
            scope.spawn(move || block_on(attack_runner(round, &round.waiting, &[], full && number == 0)));
        }
    });
    round.table.into_inner().unwrap().end();
}

fn block_on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
}

/// Hands the attacks in `queue` to one runner with these `arguments`; `killed`: which is killed at the end, too.
async fn attack_runner(round: &Round, queue: &Mutex<VecDeque<Attack>>, arguments: &[&str], killed: bool) {
    // Without what the plugin is told by, it does nothing.
    let bare = "env -u OSTEST_EVENTS -u OSTEST_SUITE -u OSTEST_WRITABLE {python} run_tests.py --src {src} --junit-xml={report}";
    let bare: &[&str] = if round.level == Level::None { &["--test-command", bare] } else { &[] };
    let mut arena = Arena::start(round.level, &[bare, arguments].concat()).await;
    let honest = arena.answer(&arena.submit("honest", "none", "")).await;
    assert_eq!(honest.outcome, Outcome::Success, "{}\n{}", honest.body, arena.runner.log());
    let mut remains = arena.remains();
    loop {
        let Some(attack) = queue.lock().unwrap().pop_front() else { break };
        let _turn = if attack.alone { turn::alone().await } else { turn::shared().await };
        let started = Instant::now();
        let (answer, problems) = arena.attack(&attack, &mut remains).await;
        let mut table = round.table.lock().unwrap();
        table.row(&attack, &answer, started, &problems);
        if !problems.is_empty() {
            table.complain(&attack, &problems, &answer.body, &arena.runner.log());
        }
    }
    if killed {
        let _turn = turn::shared().await;
        killed_in_the_middle(&mut arena).await;
    }
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
#[ignore = "takes minutes; tests/deep.sh runs it"]
async fn hoarded_watchers_stop_no_other_task() {
    for level in [Level::BwrapUser, Level::BasicUser] {
        if !level.available() {
            continue;
        }
        let _turn = turn::shared().await;
        let arena = Arena::start(level, &[]).await;
        let name = format!("beside-{:06}", fastrand::u32(..1_000_000));
        let hog = arena.submit("many-watchers", "none", &format!("NAME={name}\nSECONDS=30\nHOLD=15\n"));
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
    let _turn = turn::shared().await;
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
