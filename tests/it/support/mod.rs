//! The world of a test: a mock backend, a suite, students' repositories and a real runner between them.

mod disk;
mod events;
mod output;
mod prepared;
mod repositories;
mod runner;
mod terminal;

pub use disk::SmallDisk;
pub use events::{events_in, fault_in};
pub use output::Ran;
pub use prepared::{SYSTEM_PATH, copy_program, lay_environment};
pub use repositories::{Repository, scripted_suite, student};
pub use runner::{BINARY, Runner, command};
pub use terminal::Terminal;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mock_backend::{MockBackend, NewTask, Settings, StoredResult, TaskId};
use serde_json::Value;
use tempfile::TempDir;

/// The longest that anything in a test may take before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A student's script that passes its one test.
pub const PASS: &str = r#"printf %s "$PASS" > "$REPORT""#;

/// Whether what a test needs is here. Where it is not, the test is skipped with a loud line; in CI it fails.
pub fn have(program: &str, package: &str) -> bool {
    let found = sandbox::command::find_program(program).is_some();
    if !found {
        let line = format!("{program} is not installed (apt-get install {package})");
        assert!(std::env::var_os("RUNNER_TEST_NO_SKIP").is_none(), "{line}");
        eprintln!("\n!!! SKIPPED: {line}\n");
    }
    found
}

/// A backend, a suite, and a runner that has just been started on them.
pub struct World {
    pub backend: MockBackend,
    pub runner: Runner,
    folder: TempDir,
    arguments: Vec<String>,
    /// Whether the runner is started from where everybody can.
    for_all: bool,
    /// The user that then runs it; none: who runs the tests.
    user: Option<u32>,
}

impl World {
    /// The usual world: the scripted suite, local repositories allowed.
    pub async fn start() -> Self {
        Self::with(Settings::default(), &[]).await
    }

    /// A world with other settings of the backend and further arguments of the runner.
    pub async fn with(backend: Settings, arguments: &[&str]) -> Self {
        Self::begin(backend, arguments, true).await
    }

    /// The same, whose runner makes the suite's environment itself.
    pub async fn without_environment(backend: Settings, arguments: &[&str]) -> Self {
        Self::begin(backend, arguments, false).await
    }

    async fn begin(backend: Settings, arguments: &[&str], prepared: bool) -> Self {
        let folder = TempDir::new().unwrap();
        let suite = scripted_suite(&folder.path().join("suite"));
        let backend = MockBackend::start(backend).await.unwrap();
        let mut all = vec![
            "--allow-local-repositories",
            "--tests-url",
            &suite,
            "--check-interval",
            "50ms",
            // What these tests look at lies outside; the sandbox has tests of its own.
            "--sandbox",
            "none",
            "--grace",
            "1",
        ];
        all.extend(arguments);
        let arguments: Vec<String> = all.iter().map(ToString::to_string).collect();
        // One with packages is laid where it is known who runs it: see `confined`.
        if prepared && requirements(&arguments).is_empty() {
            lay_environment(&folder.path().join("state"), "", &std::env::var_os("PATH").unwrap(), None);
        }
        let runner = Runner::start(folder.path(), &backend.url(), &all);
        Self { backend, runner, folder, arguments, for_all: false, user: None }
    }

    /// A world whose runner does not take local repositories.
    pub async fn without_local_repositories() -> Self {
        let mut world = Self::start().await;
        world.arguments.retain(|argument| argument != "--allow-local-repositories");
        world.restart();
        world
    }

    /// A world whose runner's home has this git configuration; it is told the world's folder.
    pub async fn with_git_config(config: impl FnOnce(&Path) -> String) -> Self {
        let mut world = Self::start().await;
        world.arguments.retain(|argument| argument != "--allow-local-repositories");
        std::fs::write(world.folder().join(".gitconfig"), config(world.folder())).unwrap();
        world.restart();
        world
    }

    /// The same world with a runner that confines its steps with `sandbox`, run by `user`; none: who runs the tests.
    pub fn confined(mut self, sandbox: &str, user: Option<u32>) -> Self {
        let level = self.arguments.iter().position(|argument| argument == "--sandbox").unwrap() + 1;
        sandbox.clone_into(&mut self.arguments[level]);
        self.runner.kill();
        let folder = self.folder.path();
        std::fs::remove_dir_all(folder.join("state")).ok();
        copy_program(folder);
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::chown(folder, user, user).unwrap();
        let requirements = requirements(&self.arguments);
        lay_environment(&folder.join("state"), &requirements, SYSTEM_PATH.as_ref(), user);
        (self.for_all, self.user) = (true, user);
        self.restart();
        self
    }

    /// Starts the runner anew on the same state, with the same arguments.
    pub fn restart(&mut self) {
        self.runner.kill();
        self.runner = self.second_runner();
    }

    /// The same, with variables of its environment.
    pub fn restart_with(&mut self, environment: &[(&str, &str)]) {
        self.runner.kill();
        self.runner = self.runner_with(environment);
    }

    /// One more runner on the same state.
    pub fn second_runner(&self) -> Runner {
        self.runner_with(&[])
    }

    fn runner_with(&self, environment: &[(&str, &str)]) -> Runner {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let (folder, url) = (self.folder.path(), self.backend.url());
        if self.for_all {
            Runner::of_anybody(folder, &url, &arguments, self.user, environment)
        } else {
            Runner::with_environment(folder, &url, &arguments, environment)
        }
    }

    /// Hands in a task for a student whose `run.sh` is `script`, with all tests and no laboratory.
    pub fn submit(&self, script: &str) -> TaskId {
        self.submit_with(script, |task| task)
    }

    /// The same, with other fields.
    pub fn submit_with(&self, script: &str, change: impl FnOnce(NewTask) -> NewTask) -> TaskId {
        let repository = student(&self.fresh("student"), script);
        self.backend.submit(change(NewTask::new(&repository.url(), "main")))
    }

    /// A path below this world's folder that nothing has used yet.
    pub fn fresh(&self, name: &str) -> PathBuf {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.folder.path().join(format!("{name}-{number}"))
    }

    /// The answer to `id`, as JSON.
    pub async fn answer(&self, id: &TaskId) -> Value {
        let what = format!("the answer to {id}");
        let found = self.backend.wait_for(&what, PATIENCE, |backend| backend.result_of(id)).await;
        let stored: StoredResult = found.unwrap_or_else(|error| panic!("{error}\n{}", self.runner.log()));
        serde_json::from_slice(&stored.body).unwrap()
    }

    /// The folder of the tasks' workspaces.
    pub fn work(&self) -> PathBuf {
        self.folder.path().join("state/work")
    }

    /// The folder of this world.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Asserts that no task has left a folder, and that the backend saw nothing against the contract. A task's folder
    /// goes while its result is on the way: what is still there has a moment.
    #[expect(
        clippy::disallowed_methods,
        reason = "there is no event to wait for: the runner is another process"
    )]
    pub fn assert_clean(&self) {
        let left = || -> Vec<PathBuf> {
            std::fs::read_dir(self.work()).unwrap().map(|entry| entry.unwrap().path()).collect()
        };
        let end = std::time::Instant::now() + Duration::from_secs(10);
        while !left().is_empty() && std::time::Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(left().is_empty(), "left in the work folder: {:?}", left());
        assert!(self.backend.violations().is_empty(), "{:?}", self.backend.violations());
    }
}

/// The `requirements.txt` of the suite that a runner with these arguments takes; empty where it has none.
fn requirements(arguments: &[String]) -> String {
    let url = arguments.iter().rposition(|argument| argument == "--tests-url").unwrap() + 1;
    let folder = Path::new(arguments[url].trim_start_matches("file://"));
    std::fs::read_to_string(folder.join("requirements.txt")).unwrap_or_default()
}

/// Waits until `holds`; fails the test where it never does.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = tokio::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(tokio::time::Instant::now() < end, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Whether a process with `mark` in its command line or environment runs, zombies apart.
pub fn running(mark: &str) -> bool {
    // The kernel ends each argument with a NUL; a mark may reach over several.
    let holds = |path: PathBuf| {
        std::fs::read(path)
            .is_ok_and(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " ").contains(mark))
    };
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let folder = entry.path();
        let pid: Option<u32> = entry.file_name().to_str().and_then(|name| name.parse().ok());
        pid.is_some_and(|pid| pid != std::process::id())
            && (holds(folder.join("cmdline")) || holds(folder.join("environ")))
    })
}

/// The text of a field of a result.
pub fn text<'a>(result: &'a Value, field: &str) -> &'a str {
    result[field].as_str().unwrap_or_else(|| panic!("{field} is no text in {result}"))
}
