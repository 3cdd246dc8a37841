//! The environment of a measured runner: a suite of one trivial Python file and a student's repository of 10 files, both
//! over `file://`, and a mock backend.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mock_backend::{MockBackend, NewTask, Settings, TaskId};
use tempfile::TempDir;
use tools::repositories::{create_repository, file_url};

/// A suite that writes its start and end time into the name of its only case, because only the report leaves the sandbox.
const SUITE: &str = r#"import sys, time
started = time.time()
if "--help" in sys.argv:
    sys.exit(print("usage: run_tests.py --src SRC --junit-xml FILE"))
report = next(word.partition("=")[2] for word in sys.argv if word.startswith("--junit-xml="))
with open(report, "w") as file:
    file.write('<testsuite tests="1"><testcase classname="bench" name="%.6f %.6f" time="0"/></testsuite>' % (started, time.time()))
"#;

/// Timeout of every wait.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// The temporary folder of a bench with the repositories.
#[derive(Debug)]
pub(crate) struct World {
    folder: TempDir,
    /// The runner's binary.
    pub(crate) program: PathBuf,
    /// Seed of the random numbers.
    pub(crate) seed: u64,
}

impl World {
    /// Creates the folder and the repositories.
    ///
    /// # Errors
    /// Returns a message if the folder or a repository cannot be created.
    pub(crate) fn create(program: PathBuf, seed: u64) -> Result<Self, String> {
        let folder = tempfile::Builder::new().prefix("bench-").tempdir();
        let folder = folder.map_err(|error| format!("cannot create a temporary folder: {error}"))?;
        let world = Self { folder, program, seed };
        create_repository(&world.path("suite"), &[("run_tests.py", SUITE)])?;
        let mut random = fastrand::Rng::with_seed(seed);
        let text = |random: &mut fastrand::Rng| {
            let lines = 0..random.usize(20..200);
            lines.fold(String::new(), |text, line| {
                text + &format!("int f{line}(void) {{ return {}; }}\n", random.u32(..))
            })
        };
        let files: Vec<(String, String)> = (0..10)
            .map(|file| {
                let folder = if file % 2 == 0 { "src/" } else { "" };
                (format!("{folder}file{file}.c"), text(&mut random))
            })
            .collect();
        let files: Vec<(&str, &str)> =
            files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        create_repository(&world.path("student"), &files)?;
        Ok(world)
    }

    /// A path in the temporary folder.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// URL of the suite.
    pub(crate) fn suite_url(&self) -> String {
        file_url(&self.path("suite"))
    }

    /// URL of the student's repository.
    pub(crate) fn student_url(&self) -> String {
        file_url(&self.path("student"))
    }

    /// Starts a backend for one measurement. It records all requests.
    ///
    /// # Errors
    /// Returns a message if the backend cannot listen.
    pub(crate) async fn backend(&self) -> Result<MockBackend, String> {
        let settings = Settings { kept_requests: 1_000_000, ..Settings::default() };
        MockBackend::start(settings).await.map_err(|error| error.to_string())
    }

    /// Submits `count` tasks with the ids `NAME-NUMBER`, numbered from `from`.
    pub(crate) fn submit(&self, backend: &MockBackend, name: &str, from: usize, count: usize) {
        for number in from..from + count {
            let id = TaskId::string(&format!("{name}-{number}"));
            backend.submit(NewTask::new(&self.student_url(), "main").id(id));
        }
    }
}

/// Waits until every submitted task has a result.
///
/// # Errors
/// Returns a message after [`TIMEOUT`], or if a result did not pass.
pub(crate) async fn wait_for_all_results(backend: &MockBackend) -> Result<(), String> {
    let all = |backend: &MockBackend| (backend.unanswered() == 0).then_some(());
    let waited = backend.wait_for("a result of every task", TIMEOUT, all).await;
    waited.map_err(|error| error.to_string())?;
    let failed = backend.results().into_iter().find(|stored| !stored.result.is_passed);
    failed.map_or(Ok(()), |stored| Err(format!("{}: {}", stored.id, stored.result.error_details)))
}
