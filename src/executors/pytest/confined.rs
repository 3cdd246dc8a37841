//! The confinement of one run of a suite: which files of this machine it sees, and as which user it runs.

use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::plugin;
use report::Limits;
use sandbox::command::Launcher;
use sandbox::confine::users::{Loan, Users};
use sandbox::confine::{Level, Plan, SuiteView};
use sandbox::workspace::{Workspace, copy_tree};

/// The confinement of one run. Dropping it gives back the user as which the run's processes run.
#[derive(Debug)]
pub(super) struct Confined {
    pub(super) plan: Plan,
    _loan: Option<Loan>,
}

/// Prepares the confinement of a run of the suite in `tree`, in `workspace`. `python` is the interpreter of the suite's
/// environment.
///
/// # Errors
/// The suite cannot be copied or listed, or no user is free.
pub(super) async fn confine(
    launcher: &Launcher,
    workspace: &Workspace,
    tree: &Path,
    python: &Path,
    limits: &Limits,
) -> std::io::Result<Confined> {
    let sandbox = launcher.sandbox();
    let guarded = if sandbox.level == Level::Basic && sandbox.users.is_none() {
        let python = python.to_owned();
        let repair = move || home_of(&python).map_or(Ok(Vec::new()), plugin::repair);
        tokio::task::spawn_blocking(repair).await.map_err(std::io::Error::other)??
    } else {
        Vec::new()
    };
    if sandbox.level != Level::Bwrap {
        let (from, to) = (tree.to_owned(), workspace.suite());
        tokio::task::spawn_blocking(move || copy_tree(&from, &to)).await.map_err(std::io::Error::other)??;
    }
    let mut readable = interpreter_folders(python);
    if sandbox.level > Level::None {
        write_list(tree, &workspace.listed())?;
        readable.extend(workspace.listed().parent().map(Path::to_owned));
    }
    let loan = sandbox.users.as_ref().map(Users::lend).transpose()?;
    let view = SuiteView {
        mountpoint: workspace.mountpoint(),
        tree: tree.to_owned(),
        suite: workspace.suite(),
        source: workspace.source(),
        home: workspace.home(),
        temp: workspace.temp(),
        out: workspace.out(),
        report: workspace.report(),
        report_limit: limits.max_report,
        readable,
        guarded,
    };
    let plan = sandbox.suite(&workspace.name(), loan.as_ref().map(|loan| loan.uid), view);
    Ok(Confined { plan, _loan: loan })
}

/// The path of an empty configuration of pytest, in the folder of the list of the suite's files.
pub(super) fn empty_configuration(listed: &Path) -> PathBuf {
    listed.with_file_name("pytest.ini")
}

/// Writes the names of all files in `tree` to `file`, each followed by a NUL; and an empty configuration of pytest beside it.
fn write_list(tree: &Path, file: &Path) -> std::io::Result<()> {
    let (mut names, mut left) = (Vec::new(), vec![tree.to_owned()]);
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                left.push(entry.path());
            } else if let Ok(name) = entry.path().strip_prefix(tree) {
                names.extend_from_slice(name.as_os_str().as_bytes());
                names.push(0);
            }
        }
    }
    // The user of the task reads both files.
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
        fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    }
    // A suite without a configuration gets the empty one; otherwise pytest would read one that a program puts into the folder.
    for (path, content) in [(file, names.as_slice()), (&empty_configuration(file), b"[pytest]\n")] {
        fs::write(path, content)?;
        fs::set_permissions(path, Permissions::from_mode(0o644))?;
    }
    Ok(())
}

/// Returns all environment variables of a program that runs in `workspace` with the interpreter `python`. Only `PATH` is
/// inherited, so that no secret of the runner is.
pub(super) fn environment(workspace: &Workspace, python: &Path) -> Vec<(String, String)> {
    let bin = python.parent().unwrap_or(Path::new("/usr/bin")).display().to_string();
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned());
    [
        ("PATH", format!("{bin}:{path}")),
        ("VIRTUAL_ENV", bin.trim_end_matches("/bin").to_owned()),
        ("HOME", workspace.home().display().to_string()),
        ("TMPDIR", workspace.temp().display().to_string()),
        ("LANG", "C.UTF-8".to_owned()),
        // An interpreter that starts later must not load what a program left in HOME.
        ("PYTHONNOUSERSITE", "1".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

/// The folder of the environment, or of the installation, to which an interpreter belongs.
pub(super) fn home_of(python: &Path) -> Option<&Path> {
    python.parent().and_then(Path::parent)
}

/// The folders that an environment's interpreter reads: the environment itself and the Python from which it was created.
fn interpreter_folders(python: &Path) -> Vec<PathBuf> {
    let real = python.canonicalize().ok().and_then(|real| home_of(&real).map(Path::to_owned));
    let home = home_of(python).map(Path::to_owned);
    let base = home.as_ref().and_then(|home| {
        let text = fs::read_to_string(home.join("pyvenv.cfg")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("home")?.trim_start().strip_prefix('='))?;
        Path::new(line.trim()).canonicalize().ok()?.parent().map(Path::to_owned)
    });
    let mut folders: Vec<PathBuf> = home.into_iter().chain(real).chain(base).collect();
    folders.sort();
    folders.dedup();
    folders
}
