//! What surrounds a runner that is measured: a suite of one trivial Python file, a student's repository of 10 files,
//! both over `file://`, and a backend.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mock_backend::{MockBackend, NewTask, Settings, TaskId};
use tempfile::TempDir;

use crate::common::repositories::{repository, url};

/// A suite that notes its own first and last moment, as the name of its only case: nothing else of it leaves a sandbox.
const SUITE: &str = r#"import sys, time
begun = time.time()
if "--help" in sys.argv:
    sys.exit(print("usage: run_tests.py --src SRC --junit-xml FILE"))
report = next(word.partition("=")[2] for word in sys.argv if word.startswith("--junit-xml="))
with open(report, "w") as file:
    file.write('<testsuite tests="1"><testcase classname="bench" name="%.6f %.6f" time="0"/></testsuite>' % (begun, time.time()))
"#;

/// How long anything may take that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The folder of a bench, with the repositories in it.
#[derive(Debug)]
pub(crate) struct World {
    folder: TempDir,
    /// The runner.
    pub(crate) program: PathBuf,
    /// The seed of all that is random.
    pub(crate) seed: u64,
}

impl World {
    /// Makes the repositories.
    pub(crate) fn make(program: PathBuf, seed: u64) -> Result<Self, String> {
        let folder = tempfile::Builder::new().prefix("bench-").tempdir();
        let folder = folder.map_err(|error| format!("cannot make a temporary folder: {error}"))?;
        let world = Self { folder, program, seed };
        repository(&world.at("suite"), &[("run_tests.py", SUITE)])?;
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
        repository(&world.at("student"), &files)?;
        Ok(world)
    }

    /// A path in the bench's folder.
    pub(crate) fn at(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The suite's URL.
    pub(crate) fn suite(&self) -> String {
        url(&self.at("suite"))
    }

    /// The student's URL.
    pub(crate) fn student(&self) -> String {
        url(&self.at("student"))
    }

    /// A backend of its own for a measurement; it forgets no request.
    pub(crate) async fn backend(&self) -> Result<MockBackend, String> {
        let settings = Settings { kept_requests: 1_000_000, ..Settings::default() };
        MockBackend::start(settings).await.map_err(|error| error.to_string())
    }

    /// Hands in `count` tasks, named by `name` and their number from `from` on.
    pub(crate) fn submit(&self, backend: &MockBackend, name: &str, from: usize, count: usize) {
        for number in from..from + count {
            let task = NewTask::new(&self.student(), "main").id(TaskId::string(&format!("{name}-{number}")));
            backend.submit(task);
        }
    }
}

/// Waits until all that was handed in is answered, and answered well.
pub(crate) async fn all_answered(backend: &MockBackend) -> Result<(), String> {
    let done = backend
        .wait_for("an answer to every task", PATIENCE, |backend| (backend.unanswered() == 0).then_some(()));
    done.await.map_err(|error| error.to_string())?;
    let bad = backend.results().into_iter().find(|stored| !stored.result.is_passed);
    bad.map_or(Ok(()), |stored| Err(format!("{}: {}", stored.id, stored.result.error_details)))
}
