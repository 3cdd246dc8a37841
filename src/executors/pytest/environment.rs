//! Virtual environments for suites: one for each content of `requirements.txt`, made once, shared by all tasks.
//!
//! An environment counts only once its marker is written, so that a runner killed while making one leaves
//! nothing that is taken for whole; a lock file keeps several makers, in one process or in many, from the same one.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::installer::{FIND_WHEEL, Installer, command};
use super::plugin;
use crate::observe::Observe;
use report::{Cause, Fault, Progress};
use sandbox::command::{Deadline, Exit, Launcher, Spec, find_program};
use sandbox::workspace::remove_tree;
use text::hex;

const MARKER: &str = ".complete";

/// The environments below one folder.
#[derive(Debug)]
pub(super) struct Environments {
    folder: PathBuf,
    launcher: Launcher,
    observe: Observe,
}

impl Environments {
    /// Environments kept in `folder`.
    pub(super) fn new(folder: PathBuf, launcher: Launcher, observe: Observe) -> Self {
        Self { folder, launcher, observe }
    }

    /// The interpreter of the environment for the suite in `tree`, which is made first where it is not there yet.
    pub(super) async fn interpreter(&self, tree: &Path, until: &Deadline) -> Result<PathBuf, Fault> {
        let base = find_program("python3").ok_or_else(|| {
            infrastructure("python3 is not installed; install it with: apt-get install python3 python3-venv")
        })?;
        let requirements =
            requirements(tree).map_err(|e| infrastructure(format!("cannot read requirements.txt: {e}")))?;
        let home = self.folder.join(key(&requirements, &base));
        self.complete(&home, &base, (!requirements.is_empty()).then_some(tree), until).await?;
        self.add_plugin(&home, until).await?;
        Ok(home.join("bin/python"))
    }

    /// Makes the environment at `home` where it is not there yet.
    async fn complete(
        &self,
        home: &Path,
        base: &Path,
        tree: Option<&Path>,
        until: &Deadline,
    ) -> Result<(), Fault> {
        if is_whole(home) {
            return Ok(());
        }
        let step = |doing| self.observe.suite_activity(Some(doing));
        step("waiting for another runner that makes the suite's environment");
        let _lock = self.lock(home, until).await?;
        if is_whole(home) {
            return Ok(());
        }
        step("making the suite's environment");
        let started = Instant::now();
        tracing::info!(name: "environment_started", folder = %home.display(), "making the suite's environment");
        self.make(home, base, tree, until).await?;
        File::create(home.join(MARKER))
            .and_then(|marker| marker.sync_all())
            .map_err(|e| infrastructure(format!("cannot write to {}: {e}", home.display())))?;
        tracing::info!(name: "environment_ready", elapsed = ?started.elapsed(), "the suite's environment is ready");
        Ok(())
    }

    /// Adds what tells the runner what pytest does; an environment of an earlier version of this program gets it too.
    async fn add_plugin(&self, home: &Path, until: &Deadline) -> Result<(), Fault> {
        let files = plugin::mend(home)
            .and_then(|_| plugin::install(home))
            .map_err(|e| infrastructure(format!("cannot write to {}: {e}", home.display())))?;
        if files.is_empty() {
            return Ok(());
        }
        // A task could not keep the bytecode, and would compile it each time.
        let files = files.iter().map(|file| file.display().to_string());
        let line: Vec<String> =
            ["-I", "-m", "py_compile"].map(str::to_owned).into_iter().chain(files).collect();
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        self.step(command(&home.join("bin/python"), &line), &self.folder, until).await
    }

    /// Waits for the right to make `home`. The lock ends with the returned file, also by a crash.
    async fn lock(&self, home: &Path, until: &Deadline) -> Result<File, Fault> {
        let path = home.with_extension("lock");
        let fail = |error: io::Error| infrastructure(format!("cannot lock {}: {error}", path.display()));
        fs::create_dir_all(&self.folder).map_err(fail)?;
        let file = File::create(&path).map_err(fail)?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(fail(error)),
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(50)) => {}
                _ = until.passed() => return Err(infrastructure("another process was still making the suite's environment")),
            }
        }
    }

    /// Makes an environment at `home`; `tree` is the suite whose `requirements.txt` is installed, if any.
    async fn make(
        &self,
        home: &Path,
        base: &Path,
        tree: Option<&Path>,
        until: &Deadline,
    ) -> Result<(), Fault> {
        remove_tree(home).map_err(|e| infrastructure(format!("cannot remove {}: {e}", home.display())))?;
        let installer = self.installer(base, tree.is_some(), until).await?;
        self.step(installer.create(base, home, tree.is_some()), &self.folder, until).await?;
        let Some(tree) = tree else { return Ok(()) };
        self.observe.suite_activity(Some("installing the suite's packages"));
        self.step(installer.install(&home.join("bin/python")), tree, until).await
    }

    /// What makes an environment for `base`; `packages`: some will be installed.
    async fn installer(&self, base: &Path, packages: bool, until: &Deadline) -> Result<Installer, Fault> {
        match Installer::uv() {
            Some(uv) => Ok(uv),
            None if !packages => Ok(Installer::Ensurepip),
            None => {
                let exit = self.run(command(base, &["-I", "-c", FIND_WHEEL]), &self.folder, until).await?;
                // One that cannot print it will say more when it makes the environment.
                let output = if exit.success() { exit.stdout.text() } else { String::new() };
                Ok(Installer::of_python(&output))
            }
        }
    }

    async fn step(&self, spec: Spec, dir: &Path, until: &Deadline) -> Result<(), Fault> {
        let what =
            format!("{} {}", spec.program.rsplit('/').next().unwrap_or_default(), spec.args[..2].join(" "));
        let exit = self.run(spec, dir, until).await?;
        if exit.success() { Ok(()) } else { Err(explain(&what, &exit)) }
    }

    async fn run(&self, spec: Spec, dir: &Path, until: &Deadline) -> Result<Exit, Fault> {
        let (cache, temp) = (cache(), self.folder.with_extension("tmp"));
        fs::create_dir_all(&temp)
            .map_err(|e| infrastructure(format!("cannot make {}: {e}", temp.display())))?;
        let mut env = inherited();
        env.retain(|(name, _)| name != "TMPDIR");
        env.push(("TMPDIR".to_owned(), temp.display().to_string()));
        // Links cannot be made across the borders of a sandbox.
        env.push(("UV_LINK_MODE".to_owned(), "copy".to_owned()));
        let mut writable = vec![self.folder.as_path(), temp.as_path()];
        if let Some(cache) = &cache {
            writable.push(cache);
        } else {
            let own = temp.join("cache").display().to_string();
            env.extend(["UV_CACHE_DIR", "PIP_CACHE_DIR"].map(|name| (name.to_owned(), own.clone())));
        }
        let plan = self.launcher.sandbox().tool(&writable);
        let spec = Spec { dir: dir.to_owned(), env, plan, ..spec };
        self.launcher.run(spec, until).await.map_err(|e| infrastructure(e.to_string()))
    }
}

fn infrastructure(message: impl Into<String>) -> Fault {
    Fault::new(Progress::Prepare, Cause::Infrastructure, message)
}

/// What making an environment died of, in words that name the remedy where it is known.
fn explain(what: &str, exit: &Exit) -> Fault {
    let output = exit.stdout.text() + &exit.stderr.text();
    if output.contains("ensurepip is not available") || output.contains("No module named venv") {
        return infrastructure(
            "python3 cannot make virtual environments; install what it lacks with: apt-get install python3-venv",
        );
    }
    let cause = match [
        "No matching distribution",
        "Invalid requirement",
        "No solution found",
        "ResolutionImpossible",
    ] {
        // pip says "no matching distribution" without a network too, but then it speaks of retries first.
        words if words.iter().any(|word| output.contains(word)) && !output.contains("Retrying") => {
            Cause::Suite
        }
        _ => Cause::Infrastructure,
    };
    let words = exit.last_words().map(|line| format!(": {line}")).unwrap_or_default();
    Fault::new(
        Progress::Prepare,
        cause,
        format!("the suite's environment could not be made: {what} ended with {}{words}", exit.describe()),
    )
}

/// Where the makers of environments keep what they downloaded, if that folder can be had.
fn cache() -> Option<PathBuf> {
    let given = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = given("XDG_CACHE_HOME").or_else(|| given("HOME").map(|home| home.join(".cache")))?;
    fs::create_dir_all(&folder).ok().map(|()| folder)
}

/// The runner's environment for trusted steps (proxies, certificates, indexes), without the runner's own settings.
fn inherited() -> Vec<(String, String)> {
    let own = |name: &str| {
        name.starts_with("RUNNER_")
            // A child is not to speak for the runner to its service manager.
            || matches!(name, "NOTIFY_SOCKET" | "WATCHDOG_USEC" | "WATCHDOG_PID")
            || matches!(name, "CREDENTIALS_DIRECTORY" | "PYTHONPATH" | "PYTHONHOME" | "VIRTUAL_ENV")
    };
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| !own(name))
        .collect()
}

fn is_whole(home: &Path) -> bool {
    // `exists` follows the link: after an upgrade of the system's Python it may lead nowhere.
    home.join(MARKER).exists() && home.join("bin/python").exists()
}

/// The names under which one environment is kept: what is installed, and for which interpreter.
fn key(requirements: &[u8], base: &Path) -> String {
    let mut hash = Sha256::new();
    hash.update(requirements);
    hash.update([0]);
    hash.update(base.as_os_str().as_encoded_bytes());
    hex(&hash.finalize()[..12])
}

/// `requirements.txt` and the files it names with `-r` and `-c`; empty where there is nothing to install.
fn requirements(tree: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let mut open = vec![PathBuf::from("requirements.txt")];
    let mut seen = BTreeSet::new();
    while let Some(name) = open.pop() {
        let text = match fs::read_to_string(tree.join(&name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            content.extend_from_slice(line.as_bytes());
            content.push(b'\n');
            let named = ["-r", "-c", "--requirement", "--constraint"]
                .iter()
                .find_map(|option| line.strip_prefix(option));
            let named = named.map(|rest| name.with_file_name(rest.trim_start_matches([' ', '=']).trim()));
            open.extend(named.filter(|path| seen.insert(path.clone())));
        }
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_follows_every_file_that_is_named() {
        let tree = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(tree.path().join(name), text).unwrap();
        assert!(requirements(tree.path()).unwrap().is_empty());
        write("requirements.txt", "# nothing\n\n");
        assert!(requirements(tree.path()).unwrap().is_empty());
        write("requirements.txt", "-r base.txt\n-c=loop.txt\npytest\n");
        write("loop.txt", "-r requirements.txt\n-r loop.txt\n");
        write("base.txt", "six==1\n");
        let before = requirements(tree.path()).unwrap();
        write("base.txt", "six==2\n");
        let after = requirements(tree.path()).unwrap();
        assert!(String::from_utf8_lossy(&before).contains("six==1"));
        assert_ne!(key(&before, Path::new("/py")), key(&after, Path::new("/py")));
        assert_ne!(key(&after, Path::new("/py")), key(&after, Path::new("/other")));
    }
}
