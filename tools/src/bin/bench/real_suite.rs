//! Measures the overhead of the runner for a real suite and a real student's repository.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Instant;

use clap::Args;
use mock_backend::{MockBackend, NewTask, TaskId};

use tools::print_line;
use tools::programs::command;

use crate::daemon::{Daemon, Options};
use crate::row::Row;
use crate::stats::median;
use crate::world::{TIMEOUT, World};

/// The options of the measurement.
#[derive(Debug, Clone, Args)]
pub(crate) struct RealSuite {
    /// A real suite, as for `runner --tests-url`
    #[arg(long = "real-suite", value_name = "URL", requires = "student")]
    suite: Option<String>,
    /// A student's repository for the suite
    #[arg(long = "real-student", value_name = "URL", requires = "suite")]
    student: Option<String>,
    /// The branch of the student's repository
    #[arg(long = "real-branch", value_name = "NAME", default_value = "main")]
    branch: String,
    /// Arguments after `run_tests.py --src DIR --junit-xml=FILE` by hand, for laboratory 1
    #[arg(
        long,
        value_name = "ARGUMENTS",
        default_value = "--lab 1 --labs lab1 --proxy_timeout 10",
        allow_hyphen_values = true
    )]
    arguments: String,
}

const FIGURE: &str = "real suite on a real student's repository, warm, without the suite's command; sandbox";

/// Measures at two sandbox levels, with `rounds` tasks that alternate with runs by hand.
///
/// # Errors
/// Returns a message if the runner fails, a result is an error or a command by hand fails.
pub(crate) async fn measure(world: &World, real: &RealSuite, rounds: usize) -> Result<Vec<Row>, String> {
    let (Some(suite), Some(student)) = (&real.suite, &real.student) else {
        return Ok(vec![Row::skipped(
            format!("{FIGURE} none"),
            "name a suite with --real-suite URL --real-student URL [--real-branch NAME]",
        )]);
    };
    let mut rows = Vec::new();
    for sandbox in ["none", "auto"] {
        let backend = world.backend().await?;
        let options = Options { state: "state-real", sandbox, suite: Some(suite), ..Options::default() };
        let daemon = Daemon::start(world, &backend, options)?;
        let task = NewTask::new(student, &real.branch).lab(1);
        run_task(&backend, &task, "warm-up", &daemon).await?;
        let command = SuiteCommand::new(world, real, &daemon.state)?;
        let (mut results, mut by_hand, mut cases) = (Vec::new(), Vec::new(), String::new());
        for number in 0..rounds {
            let (result_ms, passed) = run_task(&backend, &task, &format!("real-{number}"), &daemon).await?;
            results.push(result_ms);
            cases = passed;
            let command = command.clone();
            let run = tokio::task::spawn_blocking(move || command.run()).await;
            by_hand.push(run.map_err(|error| error.to_string())??);
        }
        let level = daemon.level();
        daemon.stop().await?;
        let (result, suite) = (median(&results), median(&by_hand));
        let overhead = result - suite;
        let measured = format!("{overhead:.0} ms: {result:.0} (of {rounds}; {cases}) - {suite:.0} by hand");
        rows.push(
            Row::new(format!("{FIGURE} {level}"), measured)
                .limit("<= 150 ms", overhead <= 150.0)
                .value("overhead_ms", overhead)
                .value("result_ms", result)
                .value("suite_ms", suite),
        );
    }
    Ok(rows)
}

/// Runs one task. Returns the milliseconds from the claim to the accepted result, and the number of passed cases as text.
async fn run_task(
    backend: &MockBackend,
    task: &NewTask,
    name: &str,
    daemon: &Daemon,
) -> Result<(f64, String), String> {
    let id = TaskId::string(name);
    backend.submit(task.clone().id(id.clone()));
    let accepted = backend.wait_for("a result of the real suite", TIMEOUT, |backend| {
        let attempts = backend.attempts();
        let attempt = attempts.iter().find(|attempt| attempt.id.as_ref() == Some(&id))?;
        let (claimed, result) = (attempt.claimed?, attempt.result.as_ref()?);
        Some(result.received.duration_since(claimed).as_secs_f64() * 1e3)
    });
    let result_ms = accepted.await.map_err(|error| format!("{error}\n{}", daemon.log()))?;
    let stored = backend.result_of(&id).ok_or_else(|| format!("no result for {name}"))?;
    let result = &stored.result;
    if result.is_error {
        return Err(format!("the real suite: {}", result.error_details));
    }
    let passed = result.test_results.iter().filter(|case| case.is_passed).count();
    Ok((result_ms, format!("{passed} of {} passed", result.test_results.len())))
}

/// The suite's command, run by hand in a fresh copy of the suite, on a fresh clone, with the runner's environment.
#[derive(Debug, Clone)]
struct SuiteCommand {
    folder: PathBuf,
    tree: PathBuf,
    python: PathBuf,
    student: String,
    branch: String,
    arguments: Vec<String>,
}

impl SuiteCommand {
    fn new(world: &World, real: &RealSuite, state: &Path) -> Result<Self, String> {
        let below = |folder: PathBuf, end: &str| {
            let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
            let found = entries.map(|entry| entry.path().join(end)).find(|path| path.exists());
            found.ok_or_else(|| format!("no {end} below {}", folder.display()))
        };
        let folder = world.path("real-by-hand");
        fs::create_dir_all(&folder)
            .map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
        let trees = below(state.join("suite"), "trees")?;
        Ok(Self {
            folder,
            // The only tree; its name is the commit.
            tree: below(trees, "run_tests.py")?.with_file_name(""),
            python: below(state.join("environments"), "bin/python")?,
            student: real.student.clone().unwrap_or_default(),
            branch: real.branch.clone(),
            arguments: real.arguments.split_whitespace().map(str::to_owned).collect(),
        })
    }

    /// Runs the command and returns its duration in milliseconds. Blocks.
    fn run(&self) -> Result<f64, String> {
        let (suite, source) = (self.folder.join("suite"), self.folder.join("src"));
        for old in [&suite, &source] {
            fs::remove_dir_all(old).ok();
        }
        let mut copy = command("cp");
        copy.arg("-R").arg(&self.tree).arg(&suite);
        let mut clone = command("git");
        clone.args(["clone", "--quiet", "--branch", &self.branch, &self.student]).arg(&source);
        for mut command in [copy, clone] {
            let status = command.status();
            if !status.as_ref().is_ok_and(ExitStatus::success) {
                return Err(format!("{command:?}: {status:?}"));
            }
        }
        let bin = self.python.parent().unwrap_or(Path::new("/usr/bin")).display().to_string();
        let path = format!("{bin}:{}", std::env::var("PATH").unwrap_or_default());
        let mut suite_command = command(&self.python);
        suite_command
            .env_clear()
            .envs([("PATH", path.as_str()), ("LANG", "C.UTF-8"), ("PYTHONNOUSERSITE", "1")])
            .env("HOME", &self.folder)
            .current_dir(&suite)
            .args(["run_tests.py", "--src", &source.display().to_string()])
            .arg(format!("--junit-xml={}", self.folder.join("report.xml").display()))
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let started = Instant::now();
        // The exit code depends on the student; only a missing report is an error.
        suite_command.status().map_err(|error| format!("{suite_command:?}: {error}"))?;
        let elapsed = started.elapsed().as_secs_f64() * 1e3;
        if fs::remove_file(self.folder.join("report.xml")).is_err() {
            print_line(format!("{suite_command:?}"));
            return Err("the real suite wrote no report by hand".to_owned());
        }
        Ok(elapsed)
    }
}
