//! The folders of the settings: makes them, or checks whether they can be made; the default state folder.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use nix::sys::statfs::{PROC_SUPER_MAGIC, SYSFS_MAGIC};

/// Makes a folder with mode 0700; returns its absolute path. `flag` is for error messages.
pub(super) fn make(flag: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    let which = || format!("{flag} {}", folder.display());
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(which)?;
    let folder = folder.canonicalize().with_context(which)?;
    is_usable(flag, &folder)?;
    Ok(folder)
}

/// Returns the absolute path that `make` would return, without making the folder.
///
/// # Errors
/// The folder cannot be made or used, as far as that can be foreseen. The message names `flag`.
pub fn foresee(flag: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    let which = || format!("{flag} {}", folder.display());
    let whole = std::path::absolute(folder).with_context(which)?;
    for there in whole.ancestors() {
        match there.metadata() {
            Ok(meta) if !meta.is_dir() => {
                bail!("{}: {} is not a folder; give another", which(), there.display())
            }
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                ensure!(!there.is_symlink(), "{}: {} is a dangling symbolic link", which(), there.display());
            }
            // Also if this user may not look at it: the daemon's user may.
            _ => {
                ensure!(
                    there == whole || !is_kernel_file_system(there),
                    "{}: no folder can be made in {}; give another",
                    which(),
                    there.display()
                );
                let real = there.canonicalize().unwrap_or_else(|_| there.to_owned());
                let rest = whole.strip_prefix(there).unwrap_or(Path::new(""));
                let folder = if rest.as_os_str().is_empty() { real } else { real.join(rest) };
                is_usable(flag, &folder)?;
                return Ok(folder);
            }
        }
    }
    Ok(whole)
}

/// Whether `folder` is on a file system of the kernel, in which no folder can be made whatever its mode says.
fn is_kernel_file_system(folder: &Path) -> bool {
    nix::sys::statfs::statfs(folder)
        .is_ok_and(|found| matches!(found.filesystem_type(), PROC_SUPER_MAGIC | SYSFS_MAGIC))
}

/// Checks that folders exist that tasks may read. A missing one is a typing error or a disk that is not mounted; the
/// tasks would fail without it, and the students would be blamed.
pub(super) fn must_exist(flag: &str, folders: &[PathBuf]) -> anyhow::Result<()> {
    for folder in folders {
        let missing = folder
            .metadata()
            .is_err_and(|error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory));
        ensure!(
            !missing,
            "{flag} {}: it does not exist; make or mount it, or leave it out",
            folder.display()
        );
    }
    Ok(())
}

/// Checks that the path is UTF-8 and has no colon.
fn is_usable(flag: &str, folder: &Path) -> anyhow::Result<()> {
    let text =
        folder.to_str().with_context(|| format!("{flag} {}: the path is not UTF-8", folder.display()))?;
    // A suite's PATH and PYTHONPATH name folders in it, and a colon separates their entries.
    ensure!(!text.contains(':'), "{flag} {text}: a folder with `:` in its path cannot be used; give another");
    Ok(())
}

/// The default state folder, and the variable that it follows from.
pub(super) fn default_state() -> anyhow::Result<(PathBuf, &'static str)> {
    // The XDG specification: relative paths are ignored.
    let given = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    // systemd may give several, separated by colons; the first is this runner's.
    let systemd = given("STATE_DIRECTORY")
        .and_then(|all| all.to_str().and_then(|all| all.split(':').next()).map(PathBuf::from))
        .map(|path| (path, "$STATE_DIRECTORY"));
    let xdg = || given("XDG_STATE_HOME").map(|home| (home.join("ostest-runner"), "$XDG_STATE_HOME"));
    let home = || given("HOME").map(|home| (home.join(".local/state/ostest-runner"), "$HOME"));
    systemd.or_else(xdg).or_else(home).context("--state-dir: give one, since HOME is not set")
}
