//! The pytest plugin of the runner, which sends an event for each thing that a pytest session does. Its files are part of
//! the runner's binary and are installed into the suite's environment, where pytest finds the plugin by its entry point.
//! Outside of the runner it does nothing.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The modules, with their file names in the environment. Each module follows those that it imports. pytest loads the plugin;
/// each interpreter loads the guard when it starts.
pub(super) const MODULES: [(&str, &str); 9] = [
    ("ostest_memory.py", include_str!("ostest_memory.py")),
    ("ostest_results.py", include_str!("ostest_results.py")),
    ("ostest_imports.py", include_str!("ostest_imports.py")),
    ("ostest_forked.py", include_str!("ostest_forked.py")),
    ("ostest_workers.py", include_str!("ostest_workers.py")),
    ("ostest_recorder.py", include_str!("ostest_recorder.py")),
    ("ostest_xdist.py", include_str!("ostest_xdist.py")),
    ("ostest_plugin.py", include_str!("ostest_plugin.py")),
    ("ostest_guard.py", include_str!("ostest_guard.py")),
];
/// The file by which each interpreter of the environment loads the guard.
const PATHS: &str = "ostest_guard.pth";
/// The folder by which pytest finds the plugin.
const INFO: &str = "ostest_plugin-1.dist-info";
const METADATA: &str = "Metadata-Version: 2.1\nName: ostest-plugin\nVersion: 1\n";
const ENTRY: &str = "[pytest11]\nostest = ostest_plugin\n";

/// Installs the plugin into the environment at `home`. Returns the modules that are new, which the caller compiles.
///
/// # Errors
/// A file cannot be written.
pub(super) fn install(home: &Path) -> io::Result<Vec<PathBuf>> {
    let Some(packages) = site_packages(home) else { return Ok(Vec::new()) };
    let info = packages.join(INFO);
    fs::create_dir_all(&info)?;
    replace(&info.join("METADATA"), METADATA)?;
    replace(&info.join("RECORD"), "")?;
    replace(&info.join("entry_points.txt"), ENTRY)?;
    let mut fresh = Vec::new();
    for (name, text) in MODULES {
        let file = packages.join(name);
        if replace(&file, text)? {
            fresh.push(file);
        }
    }
    replace(&packages.join(PATHS), "import ostest_guard\n")?;
    Ok(fresh)
}

/// Restores the permissions of the plugin's files and folders. A task that runs as their owner can remove them, and then no
/// interpreter would find the plugin. Returns the paths whose permissions the sandbox must protect.
///
/// # Errors
/// A file cannot be examined or changed.
pub(super) fn repair(home: &Path) -> io::Result<Vec<PathBuf>> {
    let mut guarded: Vec<PathBuf> =
        home.parent().into_iter().chain([home]).map(Path::to_owned).chain([home.join("lib")]).collect();
    guarded.iter().try_for_each(|path| make_readable(path).map(drop))?;
    for version in fs::read_dir(home.join("lib")).into_iter().flatten() {
        make_readable(&version?.path())?;
    }
    let Some(packages) = site_packages(home) else { return Ok(guarded) };
    let (parent, info) = (packages.parent().map(Path::to_owned), packages.join(INFO));
    let files = MODULES.map(|(name, _)| name).into_iter().chain([PATHS]).map(|name| packages.join(name));
    let files: Vec<PathBuf> = files.collect();
    let entry = info.join("entry_points.txt");
    for path in parent.into_iter().chain([packages, info, entry]).chain(files) {
        if make_readable(&path)? {
            guarded.push(path);
        }
    }
    Ok(guarded)
}

/// Gives the owner the permissions that are needed to read `path`. Returns false if `path` does not exist.
fn make_readable(path: &Path) -> io::Result<bool> {
    let meta = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        found => found?,
    };
    let (mode, needed) = (meta.permissions().mode(), if meta.is_dir() { 0o500 } else { 0o400 });
    if mode & needed == needed || meta.is_symlink() {
        return Ok(true);
    }
    tracing::warn!(name: "environment_reopened", path = %path.display(), "a task has removed permissions in the suite's environment; they are restored");
    fs::set_permissions(path, Permissions::from_mode(mode | if meta.is_dir() { 0o755 } else { 0o644 }))?;
    Ok(true)
}

/// Whether the environment at `home` has pytest, and so sends events.
pub(super) fn sends_events(home: &Path) -> bool {
    site_packages(home).is_some_and(|packages| packages.join("pytest").is_dir())
}

fn site_packages(home: &Path) -> Option<PathBuf> {
    let folders =
        fs::read_dir(home.join("lib")).ok()?.flatten().map(|entry| entry.path().join("site-packages"));
    folders.into_iter().find(|folder| folder.is_dir())
}

/// Writes `text` to `file`, unless it holds it already. Replaces the file in one step, because others can be reading it.
/// Returns whether the file has changed.
fn replace(file: &Path, text: &str) -> io::Result<bool> {
    if fs::read_to_string(file).is_ok_and(|content| content == text) {
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
    fn installs_plugin_once() {
        let home = tempfile::tempdir().unwrap();
        assert!(install(home.path()).unwrap().is_empty());
        let packages = home.path().join("lib/python3.11/site-packages");
        fs::create_dir_all(&packages).unwrap();
        assert_eq!(install(home.path()).unwrap(), MODULES.map(|(name, _)| packages.join(name)));
        assert!(install(home.path()).unwrap().is_empty(), "it is there already");
        fs::write(packages.join(MODULES[0].0), "an older one").unwrap();
        assert_eq!(install(home.path()).unwrap(), [packages.join(MODULES[0].0)]);
        let changed = [packages.join(INFO), packages.join(PATHS)];
        for path in &changed {
            fs::set_permissions(path, Permissions::from_mode(0o000)).unwrap();
        }
        // The modules, the folders above them, the entry point, and the file that loads the guard.
        assert_eq!(repair(home.path()).unwrap().len(), MODULES.len() + 8);
        let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(changed.each_ref().map(mode), [0o755, 0o644]);
        let entry = fs::read_to_string(packages.join(INFO).join("entry_points.txt")).unwrap();
        assert!(entry.contains("ostest = ostest_plugin"));
    }
}
