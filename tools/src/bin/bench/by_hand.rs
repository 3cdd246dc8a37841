//! Executes tasks without a runner: `git clone`, the suite's command and two `curl` calls. Measured in the same run as a
//! baseline.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use mock_backend::{MockBackend, TaskId};
use tools::print_line;
use tools::programs::{command, stdout_of};

use crate::world::World;

/// Times of the suite's command as a child of this program, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PythonTimes {
    /// From the start of the process to its end.
    pub(crate) whole: f64,
    /// From the start of the process to the suite's first line.
    pub(crate) startup: f64,
    /// From the suite's last line to the end of the process.
    pub(crate) exit: f64,
}

/// Times of one task by hand, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TaskTimes {
    /// The claim with `curl`.
    pub(crate) claim: f64,
    /// `git clone`
    pub(crate) clone: f64,
    /// The suite.
    pub(crate) python: PythonTimes,
    /// The result with `curl`.
    pub(crate) post: f64,
}

impl TaskTimes {
    /// The whole task.
    pub(crate) fn whole(&self) -> f64 {
        self.claim + self.clone + self.python.whole + self.post
    }
}

/// Executes tasks by hand.
#[derive(Debug, Clone)]
pub(crate) struct ByHand {
    folder: PathBuf,
    suite: PathBuf,
    python: PathBuf,
    student: String,
    url: String,
    curl: bool,
}

impl ByHand {
    /// Uses the environment that a runner has created in its state folder.
    ///
    /// # Errors
    /// Returns a message if there is no environment or the working folder cannot be created.
    pub(crate) fn new(world: &World, state: &Path, backend: &MockBackend) -> Result<Self, String> {
        let folder = world.path("by-hand");
        fs::create_dir_all(&folder)
            .map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
        let environments = fs::read_dir(state.join("environments")).into_iter().flatten().flatten();
        let python = environments.map(|entry| entry.path().join("bin/python")).find(|python| python.exists());
        let curl = stdout_of("curl", &["--version"]).is_some();
        if !curl {
            print_line("SKIPPED: curl is not installed, so the two requests by hand count as 0 ms");
        }
        Ok(Self {
            folder,
            suite: world.path("suite"),
            python: python.ok_or("the runner has created no environment")?,
            student: world.student_url(),
            url: backend.url(),
            curl,
        })
    }

    /// Executes one task, which must be submitted with this id. Blocks.
    ///
    /// # Errors
    /// Returns a message if a command fails.
    pub(crate) fn task(&self, id: &TaskId) -> Result<TaskTimes, String> {
        let (work, response) = (self.folder.join("work"), self.folder.join("response"));
        fs::remove_dir_all(&work).ok();
        let claim = self.curl(&["-o", &response.display().to_string()], "/api/task/available")?;
        let target = work.display().to_string();
        let clone = run_ms(&mut command("git"), &["clone", "--quiet", &self.student, &target])?;
        let python = self.python()?;
        let body = format!(
            r#"{{"id":{},"isPassed":true,"duration":0,"testResults":[],"isError":false,"errorDetails":""}}"#,
            id.as_json()
        );
        let post = ["-H", "content-type: application/json", "--data-binary", &body];
        let post = self.curl(&post, "/api/task/result")?;
        Ok(TaskTimes { claim, clone, python, post })
    }

    /// Runs the suite's command with the environment variables and options that a runner uses. Blocks.
    fn python(&self) -> Result<PythonTimes, String> {
        let report = self.folder.join("report.xml");
        let mut command = command(&self.python);
        let bin = self.python.parent().unwrap_or(Path::new("/usr/bin")).display().to_string();
        let path = format!("{bin}:{}", std::env::var("PATH").unwrap_or_default());
        command.env_clear().env("PATH", path).env("HOME", &self.folder).env("LANG", "C.UTF-8");
        command.env("PYTHONNOUSERSITE", "1").current_dir(&self.suite);
        let (source, report_option) =
            (self.folder.join("work").display().to_string(), format!("--junit-xml={}", report.display()));
        let started = epoch_seconds();
        let whole = run_ms(&mut command, &["run_tests.py", "--src", &source, &report_option])?;
        let ended = epoch_seconds();
        let text =
            fs::read_to_string(&report).map_err(|error| format!("the suite wrote no report: {error}"))?;
        let times = suite_times(text.split(" name=\"").nth(1).unwrap_or(""));
        let (first, last) = times.ok_or("the suite's report contains no times")?;
        Ok(PythonTimes { whole, startup: (first - started) * 1e3, exit: (ended - last) * 1e3 })
    }

    fn curl(&self, arguments: &[&str], path: &str) -> Result<f64, String> {
        if !self.curl {
            return Ok(0.0);
        }
        let url = format!("{}{path}", self.url);
        run_ms(command("curl").args(["--silent", "--fail", "--noproxy", "*", &url]), arguments)
    }
}

/// Runs a command and returns its duration in milliseconds.
fn run_ms(command: &mut Command, arguments: &[&str]) -> Result<f64, String> {
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let started = Instant::now();
    let status = command.status();
    let elapsed = started.elapsed().as_secs_f64() * 1e3;
    match status {
        Ok(status) if status.success() => Ok(elapsed),
        failure => Err(format!("{command:?} failed: {failure:?}")),
    }
}

/// Start and end time of the suite from the name of its case, in seconds since the Unix epoch.
pub(crate) fn suite_times(name: &str) -> Option<(f64, f64)> {
    let mut times = name.rsplit("::").next()?.split([' ', '"']).map_while(|text| text.parse().ok());
    Some((times.next()?, times.next()?))
}

/// The current time in seconds since the Unix epoch.
pub(crate) fn epoch_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
