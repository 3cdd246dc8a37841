//! What a task may have left on the machine: processes, files, control groups, mounts, memory without a process.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use mock_backend::Settings;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::geteuid;
use sha2::{Digest, Sha256};

use super::level::{Level, Users};
use crate::support::{World, eventually, have};

/// How long what was killed may take to be gone.
const PATIENCE: Duration = Duration::from_secs(180);

/// Folders in which anybody may write.
const SHARED: &[&str] = &["/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run", "/run/lock", "/dev"];

/// The traces that are there before the first attack, to tell new ones from them.
pub struct Remains {
    users: Users,
    runner: u32,
    folder: PathBuf,
    /// How the names of its control groups begin.
    group: String,
    /// Where the named queues of POSIX are to be seen; nothing is mounted there by default.
    queues: Option<PathBuf>,
    before: BTreeSet<String>,
}

impl Drop for Remains {
    fn drop(&mut self) {
        if let Some(queues) = &self.queues {
            umount2(queues, MntFlags::MNT_DETACH).ok();
        }
    }
}

impl Remains {
    /// Looks at the machine while the runner `runner`, with its state below `folder`, has nothing to do.
    pub fn before(users: Users, runner: u32, folder: &Path) -> Self {
        let queues = mount_queues(&folder.join(format!("queues-{:08x}", fastrand::u32(..))));
        let group = group_prefix(&folder.join("state"));
        let mut remains =
            Self { users, runner, folder: folder.to_owned(), group, queues, before: BTreeSet::new() };
        remains.before = remains.look("");
        remains
    }

    /// The runner is another one from now on.
    pub fn of_runner(&mut self, runner: u32) {
        self.runner = runner;
    }

    /// Takes away what is no process's and no folder's, once it was told: it would outlive the test too.
    #[expect(clippy::disallowed_methods, reason = "there is no safe call for it")]
    fn remove_memory(&self) {
        for queue in
            self.queues.iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten())
        {
            if queue.metadata().is_ok_and(|meta| self.users.has_task(meta.uid())) {
                fs::remove_file(queue.path()).ok();
            }
        }
        for (kind, option) in [("shm", "-m"), ("sem", "-s"), ("msg", "-q")] {
            for identifier in self.system_v(kind).iter().filter_map(|line| line.split_whitespace().nth(1)) {
                Command::new("ipcrm").args([option, identifier]).status().ok();
            }
        }
    }

    /// The lines of a list of System V objects that belong to tasks.
    fn system_v(&self, kind: &str) -> Vec<String> {
        let text = fs::read_to_string(format!("/proc/sysvipc/{kind}")).unwrap_or_default();
        let mut lines = text.lines();
        let column = lines.next().and_then(|head| head.split_whitespace().position(|name| name == "cuid"));
        let user = |line: &&str| line.split_whitespace().nth(column?)?.parse().ok();
        lines
            .filter(|line| user(line).is_some_and(|uid| self.users.has_task(uid)))
            .map(str::to_owned)
            .collect()
    }

    /// What is there that was not there before; `mark` is in the name of every file that the attacks make outside. It is
    /// told once.
    pub async fn after(&mut self, mark: &str) -> Vec<String> {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let left: Vec<String> = self.look(mark).difference(&self.before).cloned().collect();
            if left.is_empty() || tokio::time::Instant::now() > end {
                self.before.extend(left.iter().cloned());
                self.remove_memory();
                return left;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn look(&self, mark: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        self.processes(&mut found);
        self.files(mark, &mut found);
        self.groups(Path::new("/sys/fs/cgroup"), 4, &mut found);
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let own = self.folder.to_str().unwrap();
        found.extend(mounts.lines().filter(|line| line.contains(own)).map(|line| format!("mount {line}")));
        self.memory(&mut found);
        found
    }

    fn processes(&self, found: &mut BTreeSet<String>) {
        let own = self.folder.to_str().unwrap();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
            let text = |name: &str| String::from_utf8_lossy(&read(name)).replace('\0', " ");
            let Ok(owner) = entry.metadata().map(|meta| meta.uid()) else { continue };
            let status = text("status");
            // The owner of the folder is root where the process hides; the truth is inside.
            let user = field(&status, "Uid:").unwrap_or(owner);
            let zombie = status.contains("\nState:\tZ");
            let ours = pid == self.runner || pid == std::process::id();
            let parent = field(&status, "PPid:").unwrap_or(0);
            let of_task = self.users.has_task(user)
                || parent == self.runner
                || text("cmdline").contains(own)
                || text("environ").contains(own);
            // A zombie is gone but for its number: its parent takes that when it likes.
            if of_task && !ours && !zombie {
                found.insert(format!("process {pid} of {user}: {}", text("cmdline")));
            }
        }
    }

    fn files(&self, mark: &str, found: &mut BTreeSet<String>) {
        let work = self.folder.join("state/work");
        let state = self.folder.join("state");
        for entry in fs::read_dir(&work).into_iter().flatten().flatten() {
            found.insert(format!("file {}", entry.path().display()));
        }
        let shared = SHARED.iter().map(Path::new).chain([state.as_path(), self.folder.as_path()]);
        for entry in shared.flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten()) {
            let theirs = entry.metadata().is_ok_and(|meta| self.users.has_task(meta.uid()));
            let marked = !mark.is_empty() && entry.file_name().to_string_lossy().contains(mark);
            let inside = entry.path().starts_with(&self.folder);
            if marked || (theirs && !inside) {
                found.insert(format!("file {}", entry.path().display()));
            }
        }
    }

    /// Control groups of this runner, and of an earlier one on the same state.
    fn groups(&self, folder: &Path, depth: usize, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if depth == 0 || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(&self.group) {
                found.insert(format!("control group {}", entry.path().display()));
            }
            self.groups(&entry.path(), depth - 1, found);
        }
    }

    /// System V memory, semaphores and queues of the tasks' users, and their named queues.
    fn memory(&self, found: &mut BTreeSet<String>) {
        let queues =
            self.queues.iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
        for queue in queues.filter(|queue| queue.metadata().is_ok_and(|meta| self.users.has_task(meta.uid())))
        {
            found.insert(format!("queue {}", queue.path().display()));
        }
        for kind in ["shm", "sem", "msg"] {
            found.extend(self.system_v(kind).iter().map(|line| format!("System V {kind}: {line}")));
        }
    }
}

/// How the names of the control groups begin that a daemon with this state folder makes.
fn group_prefix(state: &Path) -> String {
    let state = state.canonicalize().unwrap();
    let digest = Sha256::digest(state.as_os_str().as_encoded_bytes());
    digest.iter().take(8).fold("ostest-daemon".to_owned(), |name, byte| name + &format!("{byte:02x}")) + "-"
}

/// Shows the named queues in `folder`, where this user may mount.
fn mount_queues(folder: &Path) -> Option<PathBuf> {
    fs::create_dir(folder).unwrap();
    let none = None::<&str>;
    mount(Some("none"), folder, Some("mqueue"), MsFlags::empty(), none).is_ok().then(|| folder.to_owned())
}

fn field(status: &str, name: &str) -> Option<u32> {
    status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

#[tokio::test]
async fn a_control_group_that_is_left_is_found() {
    if !geteuid().is_root() || !have("bwrap", "bubblewrap") {
        eprintln!("\n!!! SKIPPED: to make a control group needs root\n");
        return;
    }
    let mut world = World::with(Settings::default(), &[]).await.confined("auto", None);
    assert_eq!(world.runner.logs("sandbox_chosen").await["field.level"], "bwrap");
    if world.runner.enforces("memory").await.as_deref() != Some("cgroup") {
        eprintln!("\n!!! SKIPPED: there are no control groups here\n");
        return;
    }
    eventually("its suite is ready", || world.runner.logged("suite_ready")).await;
    let mut remains = Remains::before(Users::new(Level::BwrapRoot), world.runner.pid(), world.folder());
    let groups = |remains: &Remains| -> Vec<PathBuf> {
        let found = remains.look("");
        found.iter().filter_map(|line| line.strip_prefix("control group ")).map(PathBuf::from).collect()
    };
    assert_eq!(groups(&remains), Vec::<PathBuf>::new());
    // That of a task while it runs is one.
    let id = world.submit("sleep 2; printf %s \"$PASS\" > \"$REPORT\"");
    let mut of_task = Vec::new();
    eventually("the task has a group", || {
        of_task = groups(&remains);
        !of_task.is_empty()
    })
    .await;
    assert_eq!(world.answer(&id).await["isPassed"], true);
    assert_eq!(remains.after("").await, Vec::<String>::new());
    // And one of its name that nobody takes away again.
    fs::create_dir(&of_task[0]).unwrap();
    let left = remains.look("");
    fs::remove_dir(&of_task[0]).unwrap();
    assert!(left.contains(&format!("control group {}", of_task[0].display())), "{left:?}");
    // What others left goes with the next start, once nobody can be about to use it.
    let [old, young] =
        ["old", "young"].map(|age| of_task[0].with_file_name(format!("ostest-{age}-{}", world.runner.pid())));
    for group in [&old, &young] {
        fs::create_dir(group).unwrap();
    }
    let hours = std::time::SystemTime::now() - std::time::Duration::from_secs(7_200);
    fs::File::open(&old).unwrap().set_modified(hours).unwrap();
    world.restart();
    eventually("the old one is gone", || !old.exists()).await;
    assert!(young.exists());
    fs::remove_dir(&young).unwrap();
}
