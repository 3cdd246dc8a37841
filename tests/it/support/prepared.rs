//! Environments of suites that tests share: `runner run` makes each of them once a build, below the target folder, and
//! every state folder gets a copy. The tests of making environments take none.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use super::runner::{BINARY, command};
use super::{Repository, scripted_suite, student};

/// The `PATH` of the system's programs alone: what lies in somebody's home is not for other users.
pub const SYSTEM_PATH: &str = "/usr/bin:/bin";

/// Copies the environment for a suite with `requirements` into the state folder `state` of a runner whose `PATH` is
/// `path` and that runs as `owner`; none: the user who runs the tests.
pub fn lay_environment(state: &Path, requirements: &str, path: &OsStr, owner: Option<u32>) {
    let made = made(requirements, path).join("environments");
    fs::create_dir_all(state).unwrap();
    let copy = state.join("environments");
    // With the times of change: the bytecode of a file with another one would not count.
    run(program("cp").args(["-a", "--reflink=auto"]).arg(&made).arg(&copy));
    for environment in folders(&copy) {
        name_interpreter(&environment, &made);
    }
    if let Some(owner) = owner {
        run(program("chown").args(["-R", &format!("{owner}:{owner}")]).arg(state));
    }
}

/// Copies the program under test into `folder`, where everybody can start it. By another process: a file that this one
/// still holds open for writing, in a child that another test has just forked, cannot be started.
pub fn copy_program(folder: &Path) {
    run(program("cp").arg("--reflink=auto").arg(BINARY).arg(folder.join("runner")));
}

/// The state folder in which the environment for `requirements` is made, by the first who asks.
fn made(requirements: &str, path: &OsStr) -> PathBuf {
    let key = Sha256::digest([requirements.as_bytes(), path.as_encoded_bytes(), &python(path)].join(&0));
    let key = key.iter().take(8).fold(String::new(), |name, byte| name + &format!("{byte:02x}"));
    let shared = Path::new(env!("CARGO_TARGET_TMPDIR")).join("environments");
    fs::create_dir_all(&shared).unwrap();
    let lock = File::create(shared.join(format!("{key}.lock"))).unwrap();
    lock.lock().unwrap();
    let (home, stamp) = (shared.join(&key), shared.join(format!("{key}.made")));
    // An environment holds modules of the program, which another build may have changed.
    let build = format!("{:?}", fs::metadata(BINARY).unwrap().modified().unwrap());
    if fs::read_to_string(&stamp).is_ok_and(|made_by| made_by == build) {
        return home.join("state");
    }
    fs::remove_dir_all(home.join("suite")).ok();
    let suite = scripted_suite(&home.join("suite"));
    Repository::open(&home.join("suite")).commit(&[("requirements.txt", requirements)]);
    fs::remove_dir_all(home.join("student")).ok();
    student(&home.join("student"), r#"printf %s "$PASS" > "$REPORT""#);
    let mut runner = command(&shared);
    runner.env("PATH", path).args(["run", "--sandbox", "none", "--tests-url", &suite, "--state-dir"]);
    run(runner.arg(home.join("state")).arg(home.join("student")));
    fs::write(&stamp, build).unwrap();
    home.join("state")
}

/// The version of the interpreter that is found in `path`, and where it is.
fn python(path: &OsStr) -> Vec<u8> {
    let mut python = program("python3");
    python.env("PATH", path).args(["-I", "-c", "import sys; print(sys.version, sys.base_prefix)"]);
    run(&mut python)
}

/// Programs in the copy of an environment begin with the path of their interpreter, which was that in `made`.
fn name_interpreter(environment: &Path, made: &Path) {
    let name = environment.file_name().unwrap();
    let (old, new) = (made.join(name).display().to_string(), environment.display().to_string());
    for file in fs::read_dir(environment.join("bin")).unwrap().map(|entry| entry.unwrap().path()) {
        if file.is_symlink() {
            continue;
        }
        if let Ok(text) = fs::read_to_string(&file)
            && text.contains(&old)
        {
            fs::write(&file, text.replace(&old, &new)).unwrap();
        }
    }
}

fn folders(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_dir()).collect()
}

#[expect(clippy::disallowed_methods, reason = "a test prepares its folders with the system's programs")]
fn program(name: &str) -> Command {
    Command::new(name)
}

/// Runs `command` to its end, and fails the test with all of its output where it does not succeed.
fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}
