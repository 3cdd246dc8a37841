//! A real suite on a real student's repository: what a runner adds to the suite's own command.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use clap::Args;
use mock_backend::{MockBackend, NewTask, TaskId};

use crate::common::programs::command;
use crate::common::say;
use crate::daemon::{Daemon, Options};
use crate::rows::Row;
use crate::stats::median;
use crate::world::{PATIENCE, World};

/// Which.
#[derive(Debug, Clone, Args)]
pub(crate) struct Real {
    /// A real suite, as for `runner --tests-url`
    #[arg(long = "real-suite", value_name = "URL", requires = "student")]
    suite: Option<String>,
    /// A repository that it tests
    #[arg(long = "real-student", value_name = "URL", requires = "suite")]
    student: Option<String>,
    /// The branch
    #[arg(long = "real-branch", value_name = "NAME", default_value = "main")]
    branch: String,
    /// What follows `run_tests.py --src DIR --junit-xml=FILE` by hand for laboratory 1
    #[arg(
        long,
        value_name = "ARGUMENTS",
        default_value = "--lab 1 --labs lab1 --proxy_timeout 10",
        allow_hyphen_values = true
    )]
    arguments: String,
}

const FIGURE: &str =
    "a real suite on a real student's repository, warm, above the suite's own command; sandbox";

/// Tasks of which none counts.
const WARM: usize = 1;

/// A row for each of two levels, with `rounds` tasks and as many runs by hand, in turn.
pub(crate) async fn measure(world: &World, real: &Real, rounds: usize) -> Result<Vec<Row>, String> {
    let (Some(suite), Some(student)) = (&real.suite, &real.student) else {
        return Ok(vec![Row::skipped(
            format!("{FIGURE} none"),
            "name one with --real-suite URL --real-student URL [--real-branch NAME]",
        )]);
    };
    let mut rows = Vec::new();
    for sandbox in ["none", "auto"] {
        let backend = world.backend().await?;
        let options = Options { state: "state-real", sandbox, suite: Some(suite), ..Options::default() };
        let daemon = Daemon::start(world, &backend, options)?;
        let task = NewTask::new(student, &real.branch).lab(1);
        for number in 0..WARM {
            answer(&backend, &task, &format!("warm-{number}"), &daemon).await?;
        }
        let hand = Hand::new(world, real, &daemon.state)?;
        let (mut answers, mut alone, mut verdict) = (Vec::new(), Vec::new(), String::new());
        for number in 0..rounds {
            let (took, said) = answer(&backend, &task, &format!("real-{number}"), &daemon).await?;
            answers.push(took);
            verdict = said;
            let hand = hand.clone();
            let run = tokio::task::spawn_blocking(move || hand.run()).await;
            alone.push(run.map_err(|error| error.to_string())??);
        }
        let level = daemon.level();
        daemon.stop().await?;
        let (answer, alone) = (median(&answers), median(&alone));
        let above = answer - alone;
        let measured = format!("{above:.0} ms: {answer:.0} (of {rounds}; {verdict}) - {alone:.0} by hand");
        rows.push(
            Row::told(format!("{FIGURE} {level}"), measured)
                .bar("<= 150 ms", above <= 150.0)
                .value("above_ms", above)
                .value("answer_ms", answer)
                .value("suite_ms", alone),
        );
    }
    Ok(rows)
}

/// Milliseconds from the claim to the accepted result, and how many cases passed.
async fn answer(
    backend: &MockBackend,
    task: &NewTask,
    name: &str,
    daemon: &Daemon,
) -> Result<(f64, String), String> {
    let id = TaskId::string(name);
    backend.submit(task.clone().id(id.clone()));
    let answered = backend.wait_for("an answer of the real suite", PATIENCE, |backend| {
        let attempts = backend.attempts();
        let attempt = attempts.iter().find(|attempt| attempt.id.as_ref() == Some(&id))?;
        let (claimed, result) = (attempt.claimed?, attempt.result.as_ref()?);
        Some(result.received.duration_since(claimed).as_secs_f64() * 1e3)
    });
    let took = answered.await.map_err(|error| format!("{error}\n{}", daemon.log()))?;
    let results = backend.results();
    let Some(stored) = results.iter().find(|stored| stored.id == id) else {
        return Err(format!("the result of {name} is not there"));
    };
    let result = &stored.result;
    if result.is_error {
        return Err(format!("the real suite: {}", result.error_details));
    }
    let passed = result.test_results.iter().filter(|case| case.is_passed).count();
    Ok((took, format!("{passed} of {} passed", result.test_results.len())))
}

/// Runs the suite's own command in a fresh copy of it, on a clone that is made before, with the runner's environment.
#[derive(Debug, Clone)]
struct Hand {
    folder: PathBuf,
    tree: PathBuf,
    python: PathBuf,
    student: String,
    branch: String,
    arguments: Vec<String>,
}

impl Hand {
    fn new(world: &World, real: &Real, state: &Path) -> Result<Self, String> {
        let below = |folder: PathBuf, end: &str| {
            let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
            let found = entries.map(|entry| entry.path().join(end)).find(|path| path.exists());
            found.ok_or_else(|| format!("there is no {end} below {}", folder.display()))
        };
        let folder = world.at("real-by-hand");
        fs::create_dir_all(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        let trees = below(state.join("suite"), "trees")?;
        Ok(Self {
            folder,
            // The one suite that there is; its name is the commit.
            tree: below(trees, "run_tests.py")?.with_file_name(""),
            python: below(state.join("environments"), "bin/python")?,
            student: real.student.clone().unwrap_or_default(),
            branch: real.branch.clone(),
            arguments: real.arguments.split_whitespace().map(str::to_owned).collect(),
        })
    }

    /// Milliseconds of the command. Blocks.
    fn run(&self) -> Result<f64, String> {
        let (suite, source) = (self.folder.join("suite"), self.folder.join("src"));
        for old in [&suite, &source] {
            fs::remove_dir_all(old).ok();
        }
        let mut copy = command("cp");
        copy.arg("-R").arg(&self.tree).arg(&suite);
        let mut clone = command("git");
        clone.args(["clone", "--quiet", "--branch", &self.branch, &self.student]).arg(&source);
        for mut made in [copy, clone] {
            let ended = made.status();
            if !ended.as_ref().is_ok_and(std::process::ExitStatus::success) {
                return Err(format!("{made:?}: {ended:?}"));
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
        // Its exit code is the student's business; that there is a report is this one's.
        suite_command.status().map_err(|error| format!("{suite_command:?}: {error}"))?;
        let took = started.elapsed().as_secs_f64() * 1e3;
        if fs::remove_file(self.folder.join("report.xml")).is_err() {
            say(format!("{suite_command:?}"));
            return Err("the real suite wrote no report by hand".to_owned());
        }
        Ok(took)
    }
}
