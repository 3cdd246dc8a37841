//! The repositories of the tasks: a suite in plain Python, and a student's repository for each behavior.

use std::path::{Path, PathBuf};

use mock_backend::{NewTask, Status};

use tools::repositories::{create_repository, file_url};

/// Behavior of a student's program under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Behavior {
    /// Passes at once.
    Passes,
    /// Passes after a second, so that kills interrupt running suites.
    Slow,
    /// Writes 8 MiB to stdout, then passes.
    Floods,
    /// Leaves daemons in their own sessions, one of them with the suite's stdout, then passes.
    Forks,
    /// Fails its test.
    Fails,
    /// Never ends and ignores SIGINT and SIGTERM.
    Hangs,
    /// Kills the suite.
    Crashes,
    /// The task names a branch that does not exist.
    NoBranch,
}

impl Behavior {
    /// All behaviors with their share of the tasks in percent.
    const SHARES: [(Self, u32); 8] = [
        (Self::Passes, 34),
        (Self::Slow, 14),
        (Self::Floods, 8),
        (Self::Forks, 12),
        (Self::Fails, 20),
        (Self::Hangs, 2),
        (Self::Crashes, 5),
        (Self::NoBranch, 5),
    ];

    /// A random behavior with the probabilities of [`Self::SHARES`].
    pub(crate) fn random(random: &mut fastrand::Rng) -> Self {
        let mut remainder = random.u32(..100);
        for (behavior, share) in Self::SHARES {
            if remainder < share {
                return behavior;
            }
            remainder -= share;
        }
        Self::Passes
    }

    /// The expected status, and a part of the expected `errorDetails`.
    pub(crate) fn expected(self) -> (Status, &'static str) {
        match self {
            Self::Passes | Self::Slow | Self::Floods | Self::Forks => (Status::Success, ""),
            Self::Fails => (Status::Failure, ""),
            Self::Hangs => (Status::Error, "timed out"),
            Self::Crashes => (Status::Error, "SIGKILL"),
            Self::NoBranch => (Status::Error, "branch"),
        }
    }

    /// The student's `run.sh`.
    fn script(self) -> String {
        let before = match self {
            Self::Passes | Self::NoBranch => "",
            Self::Slow => "sleep 1",
            Self::Floods => "yes 'a line of a student who prints too much' | head -c 8388608",
            Self::Forks => {
                "(setsid sh -c 'trap \"\" HUP INT TERM; sleep 600 & sleep 600' >/dev/null 2>&1 &)\n\
                 (setsid sleep 600 &)"
            }
            Self::Fails => return format!("{FAIL}\nexit 1\n"),
            Self::Hangs => "trap '' INT TERM\nsetsid sleep 600 &\nsleep 600\nsleep 600",
            Self::Crashes => return format!("{PASS}\nkill -9 $PPID\n"),
        };
        format!("{before}\n{PASS}\n")
    }
}

const PASS: &str = r#"printf '<testsuite time="0.25"><testcase classname="tests.soak" name="one" time="0.125"/></testsuite>' > "$REPORT""#;
const FAIL: &str = r#"printf '<testsuite time="0.25"><testcase classname="tests.soak" name="one" time="0.125"><failure message="boom">E   assert 1 == 2</failure></testcase></testsuite>' > "$REPORT""#;

const SUITE: &str = r#"
import argparse, os, subprocess, sys

parser = argparse.ArgumentParser()
parser.add_argument("--src", required=True)
parser.add_argument("--junit-xml", required=True)
parser.add_argument("-k")
parser.add_argument("--lab-num", nargs="*")
parser.add_argument("--proxy_timeout")
options = parser.parse_args()
environment = dict(os.environ, REPORT=options.junit_xml, SOAK="MARK")
sys.exit(subprocess.run(["sh", "run.sh"], cwd=options.src, env=environment).returncode)
"#;

/// The repositories of a soak.
#[derive(Debug)]
pub(crate) struct Repositories {
    folder: PathBuf,
}

impl Repositories {
    /// Creates all repositories below `folder`. Every process of a student has `mark` in its environment.
    ///
    /// # Errors
    /// Returns a message if a repository cannot be created.
    pub(crate) fn create(folder: &Path, mark: &str) -> Result<Self, String> {
        create_repository(&folder.join("suite"), &[("run_tests.py", &SUITE.replace("MARK", mark))])?;
        for (behavior, _) in Behavior::SHARES {
            create_repository(&folder.join(folder_name(behavior)), &[("run.sh", &behavior.script())])?;
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// URL of the suite.
    pub(crate) fn suite_url(&self) -> String {
        file_url(&self.folder.join("suite"))
    }

    /// A task for a student with this behavior.
    pub(crate) fn task(&self, behavior: Behavior) -> NewTask {
        let branch = if behavior == Behavior::NoBranch { "no-such-branch" } else { "main" };
        NewTask::new(&file_url(&self.folder.join(folder_name(behavior))), branch)
    }
}

fn folder_name(behavior: Behavior) -> String {
    format!("{behavior:?}").to_lowercase()
}
