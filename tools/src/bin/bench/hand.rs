//! The same work by hand: `git clone`, the suite's own command, two `curl`s. What is left of a task when there is no
//! runner, measured in the same run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use mock_backend::{MockBackend, TaskId};

use crate::common::programs::command;
use crate::machine::said;
use crate::stats::median;
use crate::world::World;

/// The suite's command, run as a child of this program, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Python {
    /// From the start of the process to its end.
    pub(crate) whole: f64,
    /// From the start of the process to the suite's first line.
    pub(crate) before: f64,
    /// From the suite's last line to the end of the process.
    pub(crate) after: f64,
}

/// One task by hand, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Task {
    /// `curl` takes it.
    pub(crate) claim: f64,
    /// `git clone`
    pub(crate) clone: f64,
    /// The suite.
    pub(crate) python: Python,
    /// `curl` answers it.
    pub(crate) post: f64,
}

impl Task {
    /// All of it.
    pub(crate) fn whole(&self) -> f64 {
        self.claim + self.clone + self.python.whole + self.post
    }
}

/// Does tasks by hand.
#[derive(Debug, Clone)]
pub(crate) struct Hand {
    folder: PathBuf,
    suite: PathBuf,
    python: PathBuf,
    student: String,
    url: String,
    curl: bool,
}

impl Hand {
    /// With the environment that a runner has made in `state`, for tasks of `backend`.
    pub(crate) fn new(world: &World, state: &Path, backend: &MockBackend) -> Result<Self, String> {
        let folder = world.at("by-hand");
        fs::create_dir_all(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        let environments = fs::read_dir(state.join("environments")).into_iter().flatten().flatten();
        let python = environments.map(|entry| entry.path().join("bin/python")).find(|python| python.exists());
        let curl = said("curl", &["--version"]).is_some();
        if !curl {
            crate::common::say("SKIPPED: there is no curl, so the two requests by hand count as nothing");
        }
        Ok(Self {
            folder,
            suite: world.at("suite"),
            python: python.ok_or("the runner has made no environment")?,
            student: world.student(),
            url: backend.url(),
            curl,
        })
    }

    /// One task, which must be there to be claimed under this id. Blocks.
    pub(crate) fn task(&self, id: &TaskId) -> Result<Task, String> {
        let (work, answer) = (self.folder.join("work"), self.folder.join("answer"));
        fs::remove_dir_all(&work).ok();
        let claim = self.curl(&["-o", &answer.display().to_string()], "/api/task/available")?;
        let into = work.display().to_string();
        let clone = self.run(&mut command("git"), &["clone", "--quiet", &self.student, &into])?;
        let python = self.python()?;
        let body = format!(
            r#"{{"id":{},"isPassed":true,"duration":0,"testResults":[],"isError":false,"errorDetails":""}}"#,
            id.as_json()
        );
        let post = ["-H", "content-type: application/json", "--data-binary", &body];
        let post = self.curl(&post, "/api/task/result")?;
        Ok(Task { claim, clone, python, post })
    }

    /// The suite's command alone, in the surroundings that a runner gives it. Blocks.
    pub(crate) fn python(&self) -> Result<Python, String> {
        let report = self.folder.join("report.xml");
        let mut command = command(&self.python);
        let bin = self.python.parent().unwrap_or(Path::new("/usr/bin")).display().to_string();
        let path = format!("{bin}:{}", std::env::var("PATH").unwrap_or_default());
        command.env_clear().env("PATH", path).env("HOME", &self.folder).env("LANG", "C.UTF-8");
        command.env("PYTHONNOUSERSITE", "1").current_dir(&self.suite);
        let (source, report_option) =
            (self.folder.join("work").display().to_string(), format!("--junit-xml={}", report.display()));
        let begun = epoch();
        let whole = self.run(&mut command, &["run_tests.py", "--src", &source, &report_option])?;
        let ended = epoch();
        let text =
            fs::read_to_string(&report).map_err(|error| format!("the suite wrote nothing: {error}"))?;
        let own = own_times(text.split(" name=\"").nth(1).unwrap_or(""));
        let (first, last) = own.ok_or("the suite's report holds no times")?;
        Ok(Python { whole, before: (first - begun) * 1e3, after: (ended - last) * 1e3 })
    }

    fn curl(&self, arguments: &[&str], path: &str) -> Result<f64, String> {
        if !self.curl {
            return Ok(0.0);
        }
        let url = format!("{}{path}", self.url);
        self.run(command("curl").args(["--silent", "--fail", "--noproxy", "*", &url]), arguments)
    }

    #[expect(clippy::unused_self, reason = "done by hand like the rest")]
    fn run(&self, command: &mut std::process::Command, arguments: &[&str]) -> Result<f64, String> {
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let started = Instant::now();
        let status = command.status();
        let took = started.elapsed().as_secs_f64() * 1e3;
        match status {
            Ok(status) if status.success() => Ok(took),
            ended => Err(format!("{command:?} by hand: {ended:?}")),
        }
    }
}

/// The suite's first and last moment, in seconds since 1970, from the name of its case.
pub(crate) fn own_times(name: &str) -> Option<(f64, f64)> {
    let mut times = name.rsplit("::").next()?.split([' ', '"']).map_while(|text| text.parse().ok());
    Some((times.next()?, times.next()?))
}

/// Seconds since 1970.
pub(crate) fn epoch() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// The median of one part of many.
pub(crate) fn middle<T>(all: &[T], part: impl Fn(&T) -> f64) -> f64 {
    median(&all.iter().map(part).collect::<Vec<_>>())
}
