//! The plugin that tells the runner what a pytest session does: a file of this binary, put into the suite's
//! environment, where pytest finds it by its entry point. It is silent wherever the runner does not listen.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The modules, by the names that they have in the environment: the plugin first, that pytest loads; then what that loads
/// where it needs it, and the guard, which each interpreter loads as it begins.
pub(super) const MODULES: [(&str, &str); 6] = [
    ("ostest_plugin.py", include_str!("ostest_plugin.py")),
    ("ostest_imports.py", include_str!("ostest_imports.py")),
    ("ostest_forked.py", include_str!("ostest_forked.py")),
    ("ostest_xdist.py", include_str!("ostest_xdist.py")),
    ("ostest_workers.py", include_str!("ostest_workers.py")),
    ("ostest_guard.py", include_str!("ostest_guard.py")),
];
const PATHS: &str = "ostest_guard.pth";
const INFO: &str = "ostest_plugin-1.dist-info";
const METADATA: &str = "Metadata-Version: 2.1\nName: ostest-plugin\nVersion: 1\n";
const ENTRY: &str = "[pytest11]\nostest = ostest_plugin\n";

/// Puts the plugin into the environment at `home`; returns the files that are new and not compiled yet.
pub(super) fn install(home: &Path) -> io::Result<Vec<PathBuf>> {
    let Some(packages) = site_packages(home) else { return Ok(Vec::new()) };
    let info = packages.join(INFO);
    fs::create_dir_all(&info)?;
    put(&info.join("METADATA"), METADATA)?;
    put(&info.join("RECORD"), "")?;
    put(&info.join("entry_points.txt"), ENTRY)?;
    let mut fresh = Vec::new();
    for (name, text) in MODULES {
        let file = packages.join(name);
        if put(&file, text)? {
            fresh.push(file);
        }
    }
    put(&packages.join(PATHS), "import ostest_guard\n")?;
    Ok(fresh)
}

/// Opens again what a task, run as the owner of it all, may have closed: no interpreter would find the plugin then, and
/// nobody would miss it. Returns what has to stay open.
pub(super) fn mend(home: &Path) -> io::Result<Vec<PathBuf>> {
    let mut guarded: Vec<PathBuf> =
        home.parent().into_iter().chain([home]).map(Path::to_owned).chain([home.join("lib")]).collect();
    guarded.iter().try_for_each(|path| open(path).map(drop))?;
    for version in fs::read_dir(home.join("lib")).into_iter().flatten() {
        open(&version?.path())?;
    }
    let Some(packages) = site_packages(home) else { return Ok(guarded) };
    let (above, info) = (packages.parent().map(Path::to_owned), packages.join(INFO));
    let files = MODULES.map(|(name, _)| name).into_iter().chain([PATHS]).map(|name| packages.join(name));
    let files: Vec<PathBuf> = files.collect();
    let entry = info.join("entry_points.txt");
    for path in above.into_iter().chain([packages, info, entry]).chain(files) {
        if open(&path)? {
            guarded.push(path);
        }
    }
    Ok(guarded)
}

/// Gives the owner the rights back that are needed to read `path`; false where nothing is there.
fn open(path: &Path) -> io::Result<bool> {
    let meta = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        found => found?,
    };
    let (mode, needed) = (meta.permissions().mode(), if meta.is_dir() { 0o500 } else { 0o400 });
    if mode & needed == needed || meta.is_symlink() {
        return Ok(true);
    }
    tracing::warn!(name: "environment_reopened", path = %path.display(), "a task has closed a part of the suite's environment; it is open again");
    fs::set_permissions(path, Permissions::from_mode(mode | if meta.is_dir() { 0o755 } else { 0o644 }))?;
    Ok(true)
}

/// Whether the environment at `home` has a pytest that the plugin speaks for.
pub(super) fn speaks(home: &Path) -> bool {
    site_packages(home).is_some_and(|packages| packages.join("pytest").is_dir())
}

fn site_packages(home: &Path) -> Option<PathBuf> {
    let folders =
        fs::read_dir(home.join("lib")).ok()?.flatten().map(|entry| entry.path().join("site-packages"));
    folders.into_iter().find(|folder| folder.is_dir())
}

/// Whether `file` did not hold `text` before. Others may read it meanwhile: it is replaced as a whole.
fn put(file: &Path, text: &str) -> io::Result<bool> {
    if fs::read_to_string(file).is_ok_and(|held| held == text) {
        return Ok(false);
    }
    let folder = file.parent().unwrap_or(Path::new("."));
    let new = tempfile::NamedTempFile::new_in(folder)?;
    fs::write(new.path(), text)?;
    fs::set_permissions(new.path(), Permissions::from_mode(0o644))?;
    new.persist(file)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_plugin_once_where_pytest_looks() {
        let home = tempfile::tempdir().unwrap();
        assert!(install(home.path()).unwrap().is_empty());
        let packages = home.path().join("lib/python3.11/site-packages");
        fs::create_dir_all(&packages).unwrap();
        assert_eq!(install(home.path()).unwrap(), MODULES.map(|(name, _)| packages.join(name)));
        assert!(install(home.path()).unwrap().is_empty(), "it is there already");
        fs::write(packages.join(MODULES[0].0), "an older one").unwrap();
        assert_eq!(install(home.path()).unwrap(), [packages.join(MODULES[0].0)]);
        let closed = [packages.join(INFO), packages.join(PATHS)];
        for path in &closed {
            fs::set_permissions(path, Permissions::from_mode(0o000)).unwrap();
        }
        // With the folders on the way to them, the entry point, and the guard's own line.
        assert_eq!(mend(home.path()).unwrap().len(), MODULES.len() + 8);
        let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(closed.each_ref().map(mode), [0o755, 0o644]);
        let entry = fs::read_to_string(packages.join(INFO).join("entry_points.txt")).unwrap();
        assert!(entry.contains("ostest = ostest_plugin"));
    }
}
