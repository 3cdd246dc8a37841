//! What suites and students' programs need: python3, environments, a compiler, make, and the suite itself.

use std::path::Path;
use std::time::Duration;

use super::Finding;
use crate::checkout::Checkout;
use crate::config::Config;
use crate::execute::find_program;
use crate::process::{Exit, Launcher, Spec, Until};
use crate::workspace::Workspace;

/// What mends a python3 without `venv`.
const INSTALL: &str = "apt-get install python3-venv";

/// How long a program may take to say something of itself.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn look(launcher: &Launcher) -> Vec<Finding> {
    let python = find_program("python3");
    let mut findings = Vec::new();
    match &python {
        None => findings.push(Finding::failure(
            "python3",
            "not found on PATH",
            "apt-get install python3 python3-venv",
        )),
        Some(python) => findings.push(interpreter(launcher, python).await),
    }
    findings.push(environments(launcher, python.as_deref()).await);
    for (program, package) in [("cc", "gcc libc6-dev"), ("make", "make")] {
        findings.push(match find_program(program) {
            Some(path) => Finding::ok(program, path.display().to_string()),
            None => Finding::failure(program, "not found on PATH", format!("apt-get install {package}")),
        });
    }
    findings
}

async fn interpreter(launcher: &Launcher, python: &Path) -> Finding {
    let script = "import sys; print('.'.join(map(str, sys.version_info[:3])))";
    match ask(launcher, python, script).await {
        Ok(exit) if exit.success() => {
            Finding::ok("python3", format!("{} {}", python.display(), exit.stdout.text().trim()))
        }
        Ok(exit) => broken(python, &ending(&exit)),
        Err(error) => broken(python, &error),
    }
}

fn broken(python: &Path, why: &str) -> Finding {
    let says = format!("{} does not run: {why}", python.display());
    Finding::failure("python3", says, "apt-get install --reinstall python3")
}

async fn environments(launcher: &Launcher, python: Option<&Path>) -> Finding {
    if let Some(uv) = find_program("uv") {
        return Finding::ok("environments", format!("made by {}", uv.display()));
    }
    let Some(python) = python else {
        return Finding::failure("environments", "neither uv nor python3 is found", INSTALL);
    };
    match ask(launcher, python, "import venv, ensurepip").await {
        Ok(exit) if exit.success() => Finding::ok("environments", "made by python3 -m venv"),
        Ok(exit) => {
            Finding::failure("environments", format!("python3 cannot make them: {}", ending(&exit)), INSTALL)
        }
        Err(error) => Finding::failure("environments", error, INSTALL),
    }
}

/// Whether the suite can be had, by a mirror of its own that goes again: the runner's is left alone.
pub(super) async fn suite(checkout: &Checkout, config: &Config) -> Finding {
    let settings = &config.settings.suite;
    let mend = "check --tests-url, --tests-ref and the network; a mirror that is there serves meanwhile";
    let folder = match Workspace::new(&config.folders.work) {
        Ok(folder) => folder,
        Err(error) => {
            return Finding::failure("suite", format!("no folder to fetch it into: {error}"), "df -h");
        }
    };
    let home = folder.root().join("doctor");
    let reference = settings.tests_ref.as_deref();
    match checkout.suite(&settings.tests_url, reference, &home).await {
        Ok((commit, _)) => Finding::ok("suite", format!("{} at {commit}", settings.tests_url)),
        Err(fault) => Finding::failure("suite", fault.message, mend),
    }
}

async fn ask(launcher: &Launcher, python: &Path, script: &str) -> Result<Exit, String> {
    let spec = Spec {
        program: python.display().to_string(),
        args: ["-I", "-c", script].map(str::to_owned).to_vec(),
        // pyenv's shims need it, for one.
        env: ["PATH", "HOME"]
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
            .collect(),
        dir: "/".into(),
        ..Spec::default()
    };
    launcher.run(spec, &Until::within(PATIENCE)).await.map_err(|error| error.to_string())
}

fn ending(exit: &Exit) -> String {
    exit.last_words().unwrap_or_else(|| exit.describe())
}
