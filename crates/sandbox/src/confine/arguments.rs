//! Bubblewrap's command line: which of the machine's files a command sees, and where.

use std::fs;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use super::view::{SHARED, SYSTEM, TERMINALS, visible};
use super::{Network, Plan, SuiteView, ToolView, View};

/// Returns bubblewrap's arguments for `plan`. `program` is the descriptor of the runner's own binary, `orders` that of the
/// [setup's orders](super::setup::Orders).
pub fn of(plan: &Plan, dir: &Path, program: RawFd, orders: RawFd) -> Vec<String> {
    let mut line = Line(Vec::new());
    line.add(&["--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent"]);
    line.add(&["--cap-drop", "ALL"]);
    if plan.network == Network::Host {
        line.add(&["--share-net"]);
    } else {
        line.add(&["--hostname", "sandbox"]);
    }
    match &plan.view {
        View::Suite(view) => suite_arguments(&mut line, view),
        View::Tool(view) => tool_arguments(&mut line, view),
        View::All => line.add(&["--bind", "/", "/"]),
    }
    line.add(&["--chdir", &text(dir), "--"]);
    line.add(&[&format!("/proc/self/fd/{program}"), super::setup::MODE, &orders.to_string()]);
    line.0
}

/// A command line.
struct Line(Vec<String>);

impl Line {
    fn add(&mut self, words: &[&str]) {
        self.0.extend(words.iter().map(ToString::to_string));
    }

    fn mount(&mut self, how: &str, from: &Path, to: &Path) {
        self.add(&[how, &text(from), &text(to)]);
    }
}

/// Writes a path of the runner, which is UTF-8: that is checked when the runner starts.
fn text(path: &Path) -> String {
    path.display().to_string()
}

fn suite_arguments(line: &mut Line, view: &SuiteView) {
    for folder in SYSTEM.iter().map(Path::new) {
        match fs::read_link(folder) {
            Ok(target) => line.mount("--symlink", &target, folder),
            Err(_) => line.mount("--ro-bind-try", folder, folder),
        }
    }
    let disk = &view.mountpoint;
    line.mount("--ro-bind", &disk.join("etc"), Path::new("/etc"));
    line.add(&["--proc", "/proc", "--dev", "/dev"]);
    line.mount("--dev-bind", &disk.join(TERMINALS), Path::new("/dev/pts"));
    for (folder, to) in [("shm", SHARED), ("tmp", "/tmp"), ("vartmp", "/var/tmp")] {
        line.mount("--bind", &disk.join(folder), Path::new(to));
    }
    let mut sealed = Vec::new();
    let shown: Vec<&PathBuf> = visible(view).collect();
    let own = [
        ("src", &view.source),
        ("suite", &view.suite),
        ("home", &view.home),
        ("temp", &view.temp),
        ("out", &view.out),
    ];
    for path in shown.iter().copied().chain(own.iter().map(|(_, path)| *path)) {
        // The parents of the task's folders must not be moved, also if they lie in a folder that the task may write to.
        if let Some(first) = first_below(path).filter(|first| !sealed.contains(first)) {
            line.add(&["--tmpfs", &text(&first)]);
            sealed.push(first);
        }
    }
    for (number, path) in shown.into_iter().enumerate() {
        line.mount("--ro-bind", &disk.join("ro").join(number.to_string()), path);
    }
    for (folder, path) in own {
        line.mount("--bind", &disk.join(folder), path);
    }
    for folder in sealed.iter().map(PathBuf::as_path).chain([Path::new("/dev"), Path::new("/")]) {
        line.add(&["--remount-ro", &text(folder)]);
    }
}

/// Returns the first folder of `path` below a folder for temporary files.
fn first_below(path: &Path) -> Option<PathBuf> {
    ["/tmp", "/var/tmp", "/dev/shm"].iter().map(Path::new).find_map(|folder| {
        let rest = path.strip_prefix(folder).ok()?;
        Some(folder.join(rest.components().next()?))
    })
}

fn tool_arguments(line: &mut Line, view: &ToolView) {
    line.add(&["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]);
    for path in &view.hidden {
        match fs::symlink_metadata(path) {
            Ok(meta) if meta.is_dir() => line.add(&["--tmpfs", &text(path)]),
            Ok(meta) if meta.is_file() => line.mount("--ro-bind", Path::new("/dev/null"), path),
            _ => {}
        }
    }
    for path in &view.writable {
        line.mount("--bind-try", path, path);
    }
}
