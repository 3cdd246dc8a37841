//! Checks what suites and students' programs need: python3, environments, a compiler, make, and the suite itself.

use std::path::Path;
use std::time::Duration;

use super::Finding;
use super::cause::{self, Place, quoted};
use crate::config::Config;
use crate::git::GitClient;
use sandbox::command::find_program;
use sandbox::command::{Deadline, Launcher, Spec};
use sandbox::workspace::Workspace;

/// The command that installs `venv`.
const INSTALL_VENV: &str = "apt-get install python3-venv";

/// The packages of python3.
const PYTHON: &str = "python3 python3-venv";

/// The oldest Python with which the runner's pytest plugin works.
const MIN_PYTHON: (u32, u32) = (3, 7);

/// Time limit of a program that prints its version.
const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) async fn check(launcher: &Launcher) -> Vec<Finding> {
    let python = find_program("python3");
    let mut findings = Vec::new();
    match &python {
        None => findings.push(absent("python3", PYTHON)),
        Some(python) => findings.push(interpreter(launcher, python).await),
    }
    findings.extend(environments(launcher, python.as_deref()).await);
    for (program, package) in [("cc", "gcc libc6-dev"), ("make", "make")] {
        findings.push(match find_program(program) {
            Some(path) => match version(launcher, &path).await {
                Ok(version) => Finding::ok(program, format!("{} ({version})", path.display())),
                Err(why) => broken(program, &path, &why, package),
            },
            None => absent(program, package),
        });
    }
    findings
}

fn absent(program: &str, package: &str) -> Finding {
    Finding::failure(program, "not found on PATH", format!("apt-get install {package}"))
}

/// A program that does not run. One of the system is installed again; another one is moved out of the way.
fn broken(check: &str, path: &Path, why: &str, package: &str) -> Finding {
    Finding::failure(check, format!("{} does not run: {why}", path.display()), replace(path, package))
}

fn replace(path: &Path, package: &str) -> String {
    match path.parent() {
        Some(folder) if folder == Path::new("/usr/bin") || folder == Path::new("/bin") => {
            format!("apt-get install --reinstall {package}")
        }
        _ => format!("mv {0} {0}.broken; apt-get install {package}", quoted(path)),
    }
}

async fn interpreter(launcher: &Launcher, python: &Path) -> Finding {
    let script = "import sys; print('.'.join(map(str, sys.version_info[:3])))";
    let version = match first_line(launcher, python, &["-I", "-c", script]).await {
        Ok(version) => version,
        Err(why) => return broken("python3", python, &why, PYTHON),
    };
    let says = format!("{} {version}", python.display());
    let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) if (major, minor) >= MIN_PYTHON => Finding::ok("python3", says),
        (Some(_), Some(_)) => {
            let says = format!("{says} is too old: {}.{} at least", MIN_PYTHON.0, MIN_PYTHON.1);
            Finding::failure("python3", says, replace(python, PYTHON))
        }
        _ => broken("python3", python, &format!("its version {version:?} is not a number"), PYTHON),
    }
}

/// Whether the suite's environment can be made: by uv if it exists, else by python3. If uv is broken, python3 is checked
/// too.
async fn environments(launcher: &Launcher, python: Option<&Path>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(uv) = find_program("uv") {
        match version(launcher, &uv).await {
            Ok(version) => {
                return vec![Finding::ok("environments", format!("made by {} ({version})", uv.display()))];
            }
            Err(why) => {
                let says = format!("{} does not run: {why}", uv.display());
                let mend = format!("mv {0} {0}.broken; then python3 -m venv is used", quoted(&uv));
                findings.push(Finding::failure("uv", says, mend));
            }
        }
    }
    findings.push(match python {
        None => Finding::failure("environments", "neither uv nor python3 is found", INSTALL_VENV),
        Some(python) => match first_line(launcher, python, &["-I", "-c", "import venv, ensurepip"]).await {
            Ok(_) => Finding::ok("environments", "made by python3 -m venv"),
            Err(why) => {
                Finding::failure("environments", format!("python3 cannot make them: {why}"), INSTALL_VENV)
            }
        },
    });
    findings
}

/// The first line that the program prints for `--version`.
async fn version(launcher: &Launcher, program: &Path) -> Result<String, String> {
    first_line(launcher, program, &["--version"]).await
}

/// The first line that a program prints; an error says why it failed.
async fn first_line(launcher: &Launcher, program: &Path, arguments: &[&str]) -> Result<String, String> {
    let spec = Spec {
        program: program.display().to_string(),
        args: arguments.iter().map(ToString::to_string).collect(),
        // The shims of pyenv need them.
        env: ["PATH", "HOME"]
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
            .collect(),
        dir: "/".into(),
        ..Spec::default()
    };
    let exit = launcher.run(spec, &Deadline::within(TIMEOUT)).await.map_err(|error| error.to_string())?;
    if exit.stopped.is_some() {
        return Err(format!("it has not answered within {} s", TIMEOUT.as_secs()));
    }
    if !exit.success() {
        return Err(exit.last_words().unwrap_or_else(|| exit.describe()));
    }
    Ok(exit.stdout.text().lines().next().unwrap_or_default().trim().to_owned())
}

/// Whether the suite can be fetched. It goes into a temporary mirror; that of the runner stays as it is.
pub(super) async fn suite(checkout: &GitClient, config: &Config, ground: &Path) -> Finding {
    let settings = &config.settings.suite;
    let url = settings.tests_url.to_string();
    let mend = if url.contains("://") {
        let name = settings.tests_ref.as_deref().unwrap_or("HEAD");
        format!("git ls-remote {url} {name}; a runner that has a mirror uses it meanwhile")
    } else {
        format!("ls -ld {url}; git -C {url} log -1, or give another --tests-url")
    };
    let folder = match Workspace::new(&config.folders.work) {
        Ok(folder) => folder,
        Err(error) => {
            let says = format!("no folder to fetch it into: {error}");
            let mend = sandbox::errno::of(&error).and_then(|errno| cause::mend(errno, Place::Folder(ground)));
            let mend = mend.unwrap_or_else(|| format!("ls -ld {}", ground.display()));
            return Finding::failure("suite", says, mend);
        }
    };
    let home = folder.root().join("doctor");
    let reference = settings.tests_ref.as_deref();
    match checkout.suite(&settings.tests_url, reference, &home).await {
        Ok((commit, _)) => Finding::ok("suite", format!("{} at {commit}", settings.tests_url)),
        Err(fault) => {
            let mend = cause::mend_message(&fault.message, ground).unwrap_or(mend);
            Finding::failure("suite", fault.message, mend)
        }
    }
}
