//! One runner at one level, with all around it that an attack may reach for; attacks are handed in one after the other.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use mock_backend::{MockBackend, NewTask, Settings, TaskId, User};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::annotation::{self, Attack, Outcome};
use super::level::{Level, Users};
use super::outside::Outside;
use super::remains::Remains;
use crate::support::{Repository, Runner, SYSTEM_PATH, copy_program, eventually, lay_environment};

/// How long the suite's environment may take to be made: the packages come over the network.
const PREPARATION: Duration = Duration::from_secs(180);

/// How long a task may take to be answered: longer than the longest `--timeout` here.
const ANSWER: Duration = Duration::from_secs(180);

/// Small and short, so that what hits a limit hits it soon. The time limit is set for each arena.
const LIMITS: &str = "--grace 1 --concurrent 2 --memory 256M --cpus 1 --pids 64 --disk 64M --file-size 32M \
                      --nofile 256 --network none --check-interval 50ms --suite-max-age 1h --logger-level debug";

/// A runner under attack.
pub struct Arena {
    /// Its level.
    pub level: Level,
    /// Its backend.
    pub backend: MockBackend,
    /// The runner.
    pub runner: Runner,
    /// The rest of the world.
    pub outside: Outside,
    users: Users,
    folder: Folder,
    password: String,
    arguments: Vec<String>,
}

/// The folder of all this. It goes last, when nobody works in it any more.
struct Folder(PathBuf);

impl Drop for Folder {
    #[expect(clippy::disallowed_methods, reason = "there are trees that the standard library cannot remove")]
    fn drop(&mut self) {
        Command::new("rm").arg("-rf").arg(&self.0).status().ok();
    }
}

/// How an attack ended.
pub struct Answer {
    /// In one word.
    pub outcome: Outcome,
    /// `errorDetails` and all descriptions.
    pub words: String,
    /// All of it.
    pub body: Value,
}

impl Arena {
    /// A runner at `level` whose suite is ready; no clock of it is met by an honest task, however slow the machine is.
    /// `arguments` come after its usual ones.
    pub async fn start(level: Level, arguments: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("arena-").tempdir_in("/tmp").unwrap();
        let folder = Folder(folder.keep());
        fs::set_permissions(folder.0.as_path(), fs::Permissions::from_mode(0o755)).unwrap();
        let suite = Repository::init(&folder.0.as_path().join("suite"));
        copy(&annotation::folder().join("suite"), &folder.0.as_path().join("suite"));
        suite.commit(&[]);
        let password = format!("sesame-{:016x}", fastrand::u64(..));
        let logins = vec![User::admin("dora_explorer", &password)];
        let backend =
            MockBackend::start(Settings { auth: true, users: logins, ..Settings::default() }).await.unwrap();
        let outside = Outside::start(folder.0.as_path());
        copy_program(&folder.0);
        let users = Users::new(level);
        chown(folder.0.as_path(), users.runner, users.runner).unwrap();
        let requirements = fs::read_to_string(folder.0.join("suite/requirements.txt")).unwrap();
        lay_environment(&folder.0.join("state"), &requirements, SYSTEM_PATH.as_ref(), users.runner);
        let weaker = std::env::var("RUNNER_TEST_SANDBOX_ARGUMENTS").unwrap_or_default();
        let user = users.first_task.to_string();
        let mut all = vec!["--allow-local-repositories", "--auth", "--sandbox-uid", &user, "--tests-url"];
        let url = suite.url();
        all.extend([&url, "--backend-url"]);
        let address = backend.url();
        all.extend([&address, "--password", &password, "--sandbox", level.sandbox()]);
        all.extend(["--timeout", "60"]);
        all.extend(LIMITS.split_ascii_whitespace());
        all.extend(arguments);
        all.extend(weaker.split_ascii_whitespace());
        let arguments: Vec<String> = all.iter().map(ToString::to_string).collect();
        let runner = start(level, users, folder.0.as_path(), &arguments);
        let arena = Self { level, backend, runner, outside, users, folder, password, arguments };
        arena.ready().await;
        arena
    }

    /// Kills the runner and starts another one on the same state.
    pub async fn restart(&mut self) {
        self.runner.kill();
        self.runner = start(self.level, self.users, self.folder.0.as_path(), &self.arguments);
        self.ready().await;
    }

    async fn ready(&self) {
        let end = tokio::time::Instant::now() + PREPARATION;
        while !self.runner.logged("suite_ready") {
            assert!(tokio::time::Instant::now() < end, "the suite is not ready\n{}", self.runner.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Looks at the machine as it is now.
    pub fn remains(&self) -> Remains {
        Remains::before(self.users, self.runner.pid(), self.folder.0.as_path())
    }

    /// Hands in the student's repository in `tests/attacks/NAME`, with further lines for its file `outside`.
    pub fn submit(&self, name: &str, mark: &str, lines: &str) -> TaskId {
        let folder = self.fresh(name);
        let student = Repository::init(&folder);
        copy(&annotation::folder().join("shared"), &folder);
        copy(&annotation::folder().join(name), &folder);
        // Made here: tools that look at this project are not to follow them.
        for link in fs::read_to_string(folder.join("links.txt")).unwrap_or_default().lines() {
            let (name, target) = link.split_once(' ').unwrap();
            std::os::unix::fs::symlink(target, folder.join(name)).unwrap();
        }
        student.commit(&[("outside", &(self.knowledge(mark) + lines))]);
        self.backend.submit(NewTask::new(&student.url(), "main"))
    }

    /// Hands in a student's repository with these files.
    pub fn submit_files(&self, files: &[(&str, &str)]) -> TaskId {
        let folder = self.fresh("student");
        let student = Repository::init(&folder);
        copy(&annotation::folder().join("shared"), &folder);
        student.commit(&[("outside", &(self.knowledge("none") + "SECONDS=120\n"))]);
        student.commit(files);
        self.backend.submit(NewTask::new(&student.url(), "main"))
    }

    /// What a student could find out or guess.
    fn knowledge(&self, mark: &str) -> String {
        let backwards: String = self.password.chars().rev().collect();
        let folder = self.folder.0.as_path().display();
        let harmless = if self.level == Level::None { "HARMLESS=yes\n" } else { "" };
        format!(
            "{}{harmless}SECONDS=10\nMARK={mark}\nFOLDER={folder}\nSTATE={folder}/state\nRUNNER={folder}/runner\nRUNNER_PID={}\n\
             BACKEND_PORT={}\nSECRET_BACKWARDS={backwards}\n",
            self.outside.lines(),
            self.runner.pid(),
            self.backend.address().port(),
        )
    }

    /// A path that nothing has used yet.
    pub fn fresh(&self, name: &str) -> PathBuf {
        self.folder.0.as_path().join(format!("{name}-{:08x}", fastrand::u32(..)))
    }

    /// The answer to a task.
    pub async fn answer(&self, id: &TaskId) -> Answer {
        let what = format!("the answer to {id}");
        let found = self.backend.wait_for(&what, ANSWER, |backend| backend.result_of(id)).await;
        let stored = found.unwrap_or_else(|error| panic!("{error}\n{}", self.runner.log()));
        let body: Value = serde_json::from_slice(&stored.body).unwrap();
        let cases = body["testResults"].as_array().unwrap();
        let descriptions = cases.iter().filter_map(|case| case["description"].as_str());
        let words = descriptions
            .fold(body["errorDetails"].as_str().unwrap().to_owned(), |words, description| {
                words + "\n" + description
            });
        let outcome = if body["isPassed"] == true {
            Outcome::Success
        } else if words.contains("LEAKED") {
            Outcome::Leaked
        } else if body["isError"] == true {
            Outcome::Error
        } else {
            Outcome::Failure
        };
        Answer { outcome, words, body }
    }

    /// Starts a neighbour and waits until it holds what is precious to it; the returned one must be [dismissed].
    ///
    /// [dismissed]: Self::dismiss
    pub async fn neighbour(&self, mark: &str) -> (TaskId, String) {
        let name = format!("beside-{:06}", fastrand::u32(..1_000_000));
        let id = self.submit("beside", mark, &format!("NAME={name}\nSECONDS=50\n"));
        eventually("the neighbour waits", || named(&name).is_some() || self.backend.result_of(&id).is_some())
            .await;
        (id, name)
    }

    /// Ends the neighbour; says what is wrong with it.
    pub async fn dismiss(&self, (id, name): &(TaskId, String)) -> Option<String> {
        if let Some(pid) = named(name) {
            kill(pid, Signal::SIGUSR1).unwrap();
        }
        let answer = self.answer(id).await;
        (answer.outcome != Outcome::Success).then(|| format!("the neighbour did not pass: {}", answer.body))
    }

    /// Waits for the answer to a task, also by a runner that must be started anew for it; says how often it died.
    async fn survived(&mut self, id: &TaskId) -> Vec<String> {
        let end = tokio::time::Instant::now() + ANSWER;
        let mut deaths = Vec::new();
        while self.backend.result_of(id).is_none() && tokio::time::Instant::now() < end && deaths.len() < 5 {
            if !self.runner.is_alive() {
                let log = self.runner.log();
                let last: Vec<&str> = log.lines().rev().take(2).collect();
                deaths.push(format!("the runner died: {}", last.join(" / ")));
                self.restart().await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        deaths
    }

    /// The attack's way through the runner, and the state of the world after it.
    pub async fn attack(&mut self, attack: &Attack, remains: &mut Remains) -> (Answer, Vec<String>) {
        let mark = format!("leak-{:08x}", fastrand::u32(..));
        let neighbour = if attack.neighbour { Some(self.neighbour(&mark).await) } else { None };
        let id = self.submit(&attack.name, &mark, "");
        let deaths = self.survived(&id).await;
        let answer = self.answer(&id).await;
        let mut problems = judge(attack, self.level, &answer);
        if !deaths.is_empty() {
            problems.extend(deaths);
            remains.of_runner(self.runner.pid());
        }
        if let Some(neighbour) = &neighbour {
            problems.extend(self.dismiss(neighbour).await);
        }
        let touched = self.outside.touched();
        if answer.outcome != Outcome::Leaked {
            problems.extend(touched);
        }
        problems.extend(remains.after(&mark).await.into_iter().map(|left| format!("left behind: {left}")));
        let next = self.answer(&self.submit("honest", &mark, "")).await;
        if next.outcome != Outcome::Success {
            problems.push(format!("the next task did not pass: {}", next.body));
        }
        problems.extend(self.backend.violations().iter().map(|violation| format!("{violation:?}")));
        (answer, problems)
    }
}

/// What the answer says against what the attack's file says.
fn judge(attack: &Attack, level: Level, answer: &Answer) -> Vec<String> {
    let mut problems = Vec::new();
    let expected = &attack.expect[&level];
    if !expected.contains(&answer.outcome) {
        let names: Vec<_> = expected.iter().map(|outcome| outcome.name()).collect();
        problems.push(format!("expected {}, got {}", names.join(" or "), answer.outcome.name()));
    }
    for (_, words) in attack.says.iter().filter(|(of, _)| of.is_none_or(|of| of == level)) {
        if level != Level::None && !answer.words.contains(words) {
            problems.push(format!("the answer does not say {words:?}"));
        }
    }
    for name in attack.passes.iter().filter(|_| level != Level::None) {
        let cases = answer.body["testResults"].as_array().unwrap();
        let passed = cases.iter().any(|case| {
            case["isPassed"] == true
                && case["name"].as_str().is_some_and(|full| full.ends_with(name.as_str()))
        });
        if !passed {
            problems.push(format!("{name} did not pass"));
        }
    }
    problems
}

/// The process with this name, wherever it runs.
fn named(name: &str) -> Option<Pid> {
    fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let comm = fs::read_to_string(entry.path().join("comm")).ok()?;
        (comm.trim_end() == name).then(|| Pid::from_raw(pid))
    })
}

/// Copies the files and links of a folder, and the folders in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (target, kind) = (to.join(entry.file_name()), entry.file_type().unwrap());
        if kind.is_dir() {
            copy(&entry.path(), &target);
        } else if kind.is_symlink() {
            symlink(fs::read_link(entry.path()).unwrap(), target).unwrap();
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the tests start the runner as people do")]
fn start(level: Level, users: Users, folder: &Path, arguments: &[String]) -> Runner {
    let mut command = Command::new("/bin/sh");
    // The system's programs alone: what lies in somebody's home is not for other users.
    command.env_clear().env("HOME", folder).env("PATH", SYSTEM_PATH).stdin(Stdio::null()).current_dir("/");
    for name in ["PIP_INDEX_URL", "PIP_FIND_LINKS", "PIP_CERT", "SSL_CERT_FILE"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    // With the open files that a system gives by default.
    command.args(["-c", "ulimit -Sn 1024; exec \"$@\"", "sh"]);
    if level == Level::BasicRoot {
        // Root in a container may not look into others' processes.
        command.args(["setpriv", "--bounding-set=-sys_ptrace"]);
    }
    command.arg(folder.join("runner"));
    command.arg("--state-dir").arg(folder.join("state")).args(arguments);
    if let Some(user) = users.runner {
        command.uid(user).gid(user);
    }
    Runner::spawn(folder, command)
}
