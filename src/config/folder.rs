//! The folders of the settings: where the state is by default, which paths cannot be used, and what making them would
//! come to.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use nix::sys::statfs::{PROC_SUPER_MAGIC, SYSFS_MAGIC};

/// Makes a folder that only its owner can look into; returns its absolute path.
pub(super) fn make(flag: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    let which = || format!("{flag} {}", folder.display());
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(which)?;
    let folder = folder.canonicalize().with_context(which)?;
    is_usable(flag, &folder)?;
    Ok(folder)
}

/// The absolute path that `make` would give, without making it; what stands in the way as far as that can be seen.
pub fn foresee(flag: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    let which = || format!("{flag} {}", folder.display());
    let whole = std::path::absolute(folder).with_context(which)?;
    for there in whole.ancestors() {
        match there.metadata() {
            Ok(meta) if !meta.is_dir() => {
                bail!("{}: {} is no folder; give another", which(), there.display())
            }
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                ensure!(!there.is_symlink(), "{}: {} is a link to nothing", which(), there.display());
            }
            // What may not be looked at may still be the daemon's.
            _ => {
                ensure!(
                    there == whole || !is_the_kernels(there),
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

/// Whether nobody makes folders in `folder`, whatever its rights say.
fn is_the_kernels(folder: &Path) -> bool {
    nix::sys::statfs::statfs(folder)
        .is_ok_and(|found| matches!(found.filesystem_type(), PROC_SUPER_MAGIC | SYSFS_MAGIC))
}

/// A folder that tasks are to read and that is not there is a word mistyped, or a disk not mounted: without it, all
/// that needs it would fail, and be told to students as their fault.
pub(super) fn are_there(flag: &str, folders: &[PathBuf]) -> anyhow::Result<()> {
    for folder in folders {
        let absent = folder
            .metadata()
            .is_err_and(|error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory));
        ensure!(!absent, "{flag} {}: it is not there; make or mount it, or leave it out", folder.display());
    }
    Ok(())
}

fn is_usable(flag: &str, folder: &Path) -> anyhow::Result<()> {
    let text =
        folder.to_str().with_context(|| format!("{flag} {}: the path is no UTF-8", folder.display()))?;
    // PATH and PYTHONPATH of a suite name folders in it, and have no way to quote one.
    ensure!(!text.contains(':'), "{flag} {text}: a folder with `:` in its path cannot be used; give another");
    Ok(())
}

/// The state folder where none is given, and what says so.
pub(super) fn default_state() -> anyhow::Result<(PathBuf, &'static str)> {
    // The XDG rules: a path that is not absolute is to be ignored.
    let given = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    // systemd may give several, with colons between them; the first is ours.
    let systemd = given("STATE_DIRECTORY")
        .and_then(|all| all.to_str().and_then(|all| all.split(':').next()).map(PathBuf::from))
        .map(|path| (path, "$STATE_DIRECTORY"));
    let xdg = || given("XDG_STATE_HOME").map(|home| (home.join("ostest-runner"), "$XDG_STATE_HOME"));
    let home = || given("HOME").map(|home| (home.join(".local/state/ostest-runner"), "$HOME"));
    systemd.or_else(xdg).or_else(home).context("--state-dir: give one, since HOME is not set")
}
