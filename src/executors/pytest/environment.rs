//! Virtual environments for suites: one for each content of `requirements.txt`, created once and shared by all tasks.
//!
//! An environment is complete when its marker file exists, so that a runner that is killed while it creates one leaves
//! nothing that looks complete. A lock file keeps several runners, and several tasks of one, from creating the same one.

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

/// The file that marks an environment as complete.
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

    /// Returns the interpreter of the environment for the suite in `tree`; creates the environment first if there is none.
    ///
    /// # Errors
    /// A fault of the suite if its requirements cannot be met, else of the infrastructure.
    pub(super) async fn interpreter(&self, tree: &Path, deadline: &Deadline) -> Result<PathBuf, Fault> {
        let base = find_program("python3").ok_or_else(|| {
            infrastructure("python3 is not installed; install it with: apt-get install python3 python3-venv")
        })?;
        let requirements =
            requirements(tree).map_err(|e| infrastructure(format!("cannot read requirements.txt: {e}")))?;
        let home = self.folder.join(key(&requirements, &base));
        self.ensure(&home, &base, (!requirements.is_empty()).then_some(tree), deadline).await?;
        self.add_plugin(&home, deadline).await?;
        Ok(home.join("bin/python"))
    }

    /// Creates the environment at `home` if there is no complete one.
    async fn ensure(
        &self,
        home: &Path,
        base: &Path,
        tree: Option<&Path>,
        deadline: &Deadline,
    ) -> Result<(), Fault> {
        if is_complete(home) {
            return Ok(());
        }
        let show = |activity| self.observe.suite_activity(Some(activity));
        show("waiting for another runner that creates the suite's environment");
        let _lock = self.lock(home, deadline).await?;
        if is_complete(home) {
            return Ok(());
        }
        show("creating the suite's environment");
        let started = Instant::now();
        tracing::info!(name: "environment_started", folder = %home.display(), "creating the suite's environment");
        self.create(home, base, tree, deadline).await?;
        File::create(home.join(MARKER))
            .and_then(|marker| marker.sync_all())
            .map_err(|e| infrastructure(format!("cannot write to {}: {e}", home.display())))?;
        tracing::info!(name: "environment_ready", elapsed = ?started.elapsed(), "the suite's environment is ready");
        Ok(())
    }

    /// Installs the runner's pytest plugin, also into an environment that an earlier version of the runner has created.
    async fn add_plugin(&self, home: &Path, deadline: &Deadline) -> Result<(), Fault> {
        let files = plugin::repair(home)
            .and_then(|_| plugin::install(home))
            .map_err(|e| infrastructure(format!("cannot write to {}: {e}", home.display())))?;
        if files.is_empty() {
            return Ok(());
        }
        // Tasks cannot write bytecode into the environment and would compile the plugin each time.
        let files = files.iter().map(|file| file.display().to_string());
        let line: Vec<String> =
            ["-I", "-m", "py_compile"].map(str::to_owned).into_iter().chain(files).collect();
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        self.run_tool(command(&home.join("bin/python"), &line), &self.folder, deadline).await
    }

    /// Waits for the lock on `home`. Closing the returned file releases it, and so does a crash.
    async fn lock(&self, home: &Path, deadline: &Deadline) -> Result<File, Fault> {
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
                _ = deadline.passed() => return Err(infrastructure("another process was still creating the suite's environment")),
            }
        }
    }

    /// Creates an environment at `home`, and installs `requirements.txt` of the suite in `tree`, if any.
    async fn create(
        &self,
        home: &Path,
        base: &Path,
        tree: Option<&Path>,
        deadline: &Deadline,
    ) -> Result<(), Fault> {
        remove_tree(home).map_err(|e| infrastructure(format!("cannot remove {}: {e}", home.display())))?;
        let installer = self.installer(base, tree.is_some(), deadline).await?;
        self.run_tool(installer.create(base, home, tree.is_some()), &self.folder, deadline).await?;
        let Some(tree) = tree else { return Ok(()) };
        self.observe.suite_activity(Some("installing the suite's packages"));
        self.run_tool(installer.install(&home.join("bin/python")), tree, deadline).await
    }

    /// Finds the program that creates an environment for the interpreter `base`. `packages`: whether packages are installed
    /// into it.
    async fn installer(&self, base: &Path, packages: bool, deadline: &Deadline) -> Result<Installer, Fault> {
        match Installer::uv() {
            Some(uv) => Ok(uv),
            None if !packages => Ok(Installer::Ensurepip),
            None => {
                let exit = self.run(command(base, &["-I", "-c", FIND_WHEEL]), &self.folder, deadline).await?;
                // An interpreter that fails here will fail with a better message when it creates the environment.
                let output = if exit.success() { exit.stdout.text() } else { String::new() };
                Ok(Installer::of_python(&output))
            }
        }
    }

    /// Runs `spec` in `dir`; fails if it does not end with success.
    async fn run_tool(&self, spec: Spec, dir: &Path, deadline: &Deadline) -> Result<(), Fault> {
        let what =
            format!("{} {}", spec.program.rsplit('/').next().unwrap_or_default(), spec.args[..2].join(" "));
        let exit = self.run(spec, dir, deadline).await?;
        if exit.success() { Ok(()) } else { Err(explain(&what, &exit)) }
    }

    /// Runs `spec` in `dir`, confined to the folders that installers write to.
    async fn run(&self, spec: Spec, dir: &Path, deadline: &Deadline) -> Result<Exit, Fault> {
        let (cache, temp) = (cache(), self.folder.with_extension("tmp"));
        fs::create_dir_all(&temp)
            .map_err(|e| infrastructure(format!("cannot create {}: {e}", temp.display())))?;
        let mut env = inherited();
        env.retain(|(name, _)| name != "TMPDIR");
        env.push(("TMPDIR".to_owned(), temp.display().to_string()));
        // uv cannot make hard links between folders that the sandbox mounts separately.
        env.push(("UV_LINK_MODE".to_owned(), "copy".to_owned()));
        let mut writable = vec![self.folder.as_path(), temp.as_path()];
        if let Some(cache) = &cache {
            writable.push(cache);
        } else {
            let cache = temp.join("cache").display().to_string();
            env.extend(["UV_CACHE_DIR", "PIP_CACHE_DIR"].map(|name| (name.to_owned(), cache.clone())));
        }
        let plan = self.launcher.sandbox().tool(&writable);
        let spec = Spec { dir: dir.to_owned(), env, plan, ..spec };
        self.launcher.run(spec, deadline).await.map_err(|e| infrastructure(e.to_string()))
    }
}

fn infrastructure(message: impl Into<String>) -> Fault {
    Fault::new(Progress::Prepare, Cause::Infrastructure, message)
}

/// The fault of a failed creation of an environment, with the remedy where it is known.
fn explain(what: &str, exit: &Exit) -> Fault {
    let output = exit.stdout.text() + &exit.stderr.text();
    if output.contains("ensurepip is not available") || output.contains("No module named venv") {
        return infrastructure(
            "python3 cannot create virtual environments; install the missing part with: apt-get install python3-venv",
        );
    }
    let cause = match [
        "No matching distribution",
        "Invalid requirement",
        "No solution found",
        "ResolutionImpossible",
    ] {
        // Without a network pip reports "no matching distribution" too, but it reports its retries first.
        words if words.iter().any(|word| output.contains(word)) && !output.contains("Retrying") => {
            Cause::Suite
        }
        _ => Cause::Infrastructure,
    };
    let words = exit.last_words().map(|line| format!(": {line}")).unwrap_or_default();
    Fault::new(
        Progress::Prepare,
        cause,
        format!("cannot create the suite's environment: {what} ended with {}{words}", exit.describe()),
    )
}

/// The folder in which uv and pip cache downloads; `None` if there is none and it cannot be created.
fn cache() -> Option<PathBuf> {
    let given = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = given("XDG_CACHE_HOME").or_else(|| given("HOME").map(|home| home.join(".cache")))?;
    fs::create_dir_all(&folder).ok().map(|()| folder)
}

/// The runner's environment variables for trusted commands (proxies, certificates, indexes), without the runner's settings.
fn inherited() -> Vec<(String, String)> {
    let is_private = |name: &str| {
        name.starts_with("RUNNER_")
            // A child must not send notifications to the runner's service manager.
            || matches!(name, "NOTIFY_SOCKET" | "WATCHDOG_USEC" | "WATCHDOG_PID")
            || matches!(name, "CREDENTIALS_DIRECTORY" | "PYTHONPATH" | "PYTHONHOME" | "VIRTUAL_ENV")
    };
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| !is_private(name))
        .collect()
}

fn is_complete(home: &Path) -> bool {
    // `exists` follows the symbolic link, which leads nowhere after some upgrades of the system's Python.
    home.join(MARKER).exists() && home.join("bin/python").exists()
}

/// The name of an environment's folder: a digest of its requirements and its interpreter.
fn key(requirements: &[u8], base: &Path) -> String {
    let mut hash = Sha256::new();
    hash.update(requirements);
    hash.update([0]);
    hash.update(base.as_os_str().as_encoded_bytes());
    hex(&hash.finalize()[..12])
}

/// The lines of `requirements.txt` and of the files that it names with `-r` and `-c`; empty if there is nothing to install.
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
    fn key_covers_every_named_file() {
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
