//! What the tasks are about: a suite in plain Python, and a student's repository for each way to behave.

use std::path::{Path, PathBuf};

use mock_backend::{NewTask, Status};

use crate::common::repositories::{repository, url};

/// A way in which a student's program behaves under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Passes at once.
    Passes,
    /// Passes after a second, so that kills meet running suites.
    Slow,
    /// Writes 8 MiB to stdout, then passes.
    Floods,
    /// Leaves daemons behind, in sessions of their own, one with the suite's stdout, then passes.
    Forks,
    /// Fails its test.
    Fails,
    /// Never ends and ignores the signals that ask it to.
    Hangs,
    /// Kills the suite.
    Crashes,
    /// Names a branch that is not there.
    NoBranch,
}

impl Kind {
    /// All kinds, with how many of a hundred tasks are of each.
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

    /// A kind by chance, by the shares.
    pub(crate) fn draw(random: &mut fastrand::Rng) -> Self {
        let mut at = random.u32(..100);
        for (kind, share) in Self::SHARES {
            if at < share {
                return kind;
            }
            at -= share;
        }
        Self::Passes
    }

    /// The status that its answer must come to, and what `errorDetails` must hold.
    pub(crate) fn truth(self) -> (Status, &'static str) {
        match self {
            Self::Passes | Self::Slow | Self::Floods | Self::Forks => (Status::Success, ""),
            Self::Fails => (Status::Failure, ""),
            Self::Hangs => (Status::Error, "timed out"),
            Self::Crashes => (Status::Error, "SIGKILL"),
            Self::NoBranch => (Status::Error, "branch"),
        }
    }

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
known = parser.parse_args()
environment = dict(os.environ, REPORT=known.junit_xml, SOAK="MARK")
sys.exit(subprocess.run(["sh", "run.sh"], cwd=known.src, env=environment).returncode)
"#;

/// The repositories of a run.
#[derive(Debug)]
pub(crate) struct Samples {
    folder: PathBuf,
}

impl Samples {
    /// Makes all repositories below `folder`; every process of a task will have `mark` in its environment.
    pub(crate) fn make(folder: &Path, mark: &str) -> Result<Self, String> {
        repository(&folder.join("suite"), &[("run_tests.py", &SUITE.replace("MARK", mark))])?;
        for (kind, _) in Kind::SHARES {
            repository(&folder.join(name(kind)), &[("run.sh", &kind.script())])?;
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// The suite's URL.
    pub(crate) fn suite(&self) -> String {
        url(&self.folder.join("suite"))
    }

    /// A task for a student of this kind.
    pub(crate) fn task(&self, kind: Kind) -> NewTask {
        let branch = if kind == Kind::NoBranch { "no-such-branch" } else { "main" };
        NewTask::new(&url(&self.folder.join(name(kind))), branch)
    }
}

fn name(kind: Kind) -> String {
    format!("{kind:?}").to_lowercase()
}
