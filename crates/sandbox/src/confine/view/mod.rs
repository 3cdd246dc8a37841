//! What a confined step sees, made by its supervisor before the step begins: the task's own disk in a mount namespace
//! of its own; or, without namespaces, owners and modes. With namespaces nothing of
//! that needs the program under test, which may still be on its way then: it comes last.

mod orders;
mod owners;

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Uid, getegid, geteuid};

use super::{Level, Network, Plan, SuiteView, View};
use crate::workspace::{copy_tree, fill_tree};
pub use orders::orders;
use owners::{give, keep_from};

/// What of `/etc` programs need: names of users and hosts are the sandbox's own.
const ETC: &[&str] = &[
    "alternatives",
    "ca-certificates",
    "ca-certificates.conf",
    "debian_version",
    "java-17-openjdk",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "nsswitch.conf",
    "os-release",
    "protocols",
    "python3",
    "python3.11",
    "services",
    "ssl/certs",
    "ssl/openssl.cnf",
    "timezone",
];

/// What of `/etc` the network needs.
const ETC_NETWORK: &[&str] = &["resolv.conf", "hosts", "gai.conf"];

/// The folders of programs.
pub const SYSTEM: &[&str] = &["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

/// Devices that a program may use where it has no `/dev` of its own.
const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

/// Where named semaphores and shared memory are.
pub const SHARED: &str = "/dev/shm";

/// Folders of a task's disk.
const DISK: &[&str] = &["src", "suite", "home", "temp", "out", "tmp", "vartmp", "shm"];

/// Where in the stage the task's pseudo-terminals are.
pub const TERMINALS: &str = "pts";

/// How many there may be at once. The kernel has some 3,000 for the whole machine.
const MOST_TERMINALS: u32 = 64;

/// How many inotify instances a task and its supervisor have together. A user has 128 as a rule.
const MOST_WATCHERS: u32 = 8;

/// Makes what `plan` lets its step see, but for the program under test where the task has a disk of its own.
pub fn make(plan: &mut Plan) -> io::Result<()> {
    match (&plan.view, plan.level) {
        (View::Suite(view), Level::Bwrap) => disk(view, plan),
        (View::Suite(view), Level::Basic) => {
            owners::make(view, plan.user)?;
            plan.own_shared = plan.user.is_some() && owners::own_shared(&plan.limits).is_ok();
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Brings the program under test into what [`make`] made. Nothing else may be in its place there yet.
pub fn fill(plan: &Plan) -> io::Result<()> {
    let (View::Suite(view), Level::Bwrap) = (&plan.view, plan.level) else { return Ok(()) };
    let source = view.stage.join("src");
    fill_tree(&view.source, &source).map_err(fits)?;
    plan.user.map_or(Ok(()), |uid| give(&source, uid))
}

/// A mount namespace of this process's own. A plain user gets the right to it by a user namespace.
fn own_mounts() -> io::Result<()> {
    let (uid, gid) = (geteuid(), getegid());
    if uid.is_root() {
        unshare(CloneFlags::CLONE_NEWNS)?;
    } else {
        unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUSER)?;
        // What is not dumpable cannot write its own maps.
        nix::sys::prctl::set_dumpable(true)?;
        let maps = fs::write("/proc/self/setgroups", "deny")
            .and_then(|()| fs::write("/proc/self/uid_map", format!("{uid} {uid} 1")))
            .and_then(|()| fs::write("/proc/self/gid_map", format!("{gid} {gid} 1")));
        nix::sys::prctl::set_dumpable(false)?;
        maps?;
        few_watches();
    }
    not_told_to_others()
}

/// Of these a user has so many, and tasks share the user: no more for this one than leaves enough for the others, and for
/// their supervisors. What is counted in a namespace is counted in those below it too. A container may keep the files from being
/// written; then it is as it was.
fn few_watches() {
    let all = fs::read_to_string("/proc/sys/fs/inotify/max_user_watches").ok();
    let all = all.and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(8_192);
    fs::write("/proc/sys/user/max_inotify_instances", MOST_WATCHERS.to_string()).ok();
    fs::write("/proc/sys/user/max_inotify_watches", (all / 4).to_string()).ok();
}

/// What is mounted from here on is seen by this process and its children alone.
fn not_told_to_others() -> io::Result<()> {
    let slave = MsFlags::MS_REC | MsFlags::MS_SLAVE;
    mount(None::<&str>, "/", None::<&str>, slave, None::<&str>)?;
    Ok(())
}

/// The task's disk: one tmpfs, so that one number bounds all that the task writes.
fn disk(view: &SuiteView, plan: &Plan) -> io::Result<()> {
    let said = |what: &'static str| move |error: io::Error| io::Error::other(format!("{what}: {error}"));
    own_mounts().map_err(said("a mount namespace"))?;
    let stage = &view.stage;
    let mut options = "mode=0755".to_owned();
    if let (Some(bytes), Some(files)) = (plan.limits.disk.0, plan.limits.files()) {
        options = format!("{options},size={bytes},nr_inodes={files}");
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("ostest"), stage, Some("tmpfs"), flags, Some(options.as_str()))
        .map_err(|error| io::Error::other(format!("a disk of its own: {error}")))?;
    for folder in DISK.iter().filter(|name| **name != "suite") {
        fs::create_dir(stage.join(folder))?;
    }
    for folder in ["tmp", "vartmp", "shm"] {
        fs::set_permissions(stage.join(folder), Permissions::from_mode(0o1777))?;
    }
    terminals(stage).map_err(said("pseudo-terminals"))?;
    if let Some(uid) = plan.user {
        copy_tree(&view.tree, &stage.join("suite")).map_err(fits)?;
        keep_from(&stage.join("suite"))?;
        for folder in DISK.iter().filter(|name| !matches!(**name, "src" | "suite")) {
            give(&stage.join(folder), uid)?;
        }
    } else {
        link_tree(&view.tree, &stage.join("suite"))?;
    }
    for (number, folder) in visible(view).enumerate() {
        let point = stage.join("ro").join(number.to_string());
        fs::create_dir_all(&point)?;
        bind(folder, &point)?;
    }
    etc(view, plan)
}

/// Pseudo-terminals of the task's own, and no more than a program needs: bubblewrap's have no bound but the machine's.
fn terminals(stage: &Path) -> io::Result<()> {
    let point = stage.join(TERMINALS);
    fs::create_dir(&point)?;
    let options = format!("newinstance,ptmxmode=0666,mode=0620,max={MOST_TERMINALS}");
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    mount(Some("devpts"), &point, Some("devpts"), flags, Some(options.as_str()))?;
    Ok(())
}

/// What a disk says that cannot hold the checkout and the suite.
pub const TOO_SMALL: &str = "checkout and suite do not fit into the task's disk";

fn fits(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(nix::libc::ENOSPC) => io::Error::other(TOO_SMALL),
        _ => error,
    }
}

/// An `/etc` of the task's own: what programs need of the machine's, and names of users and hosts within. Put together
/// here, for bubblewrap takes its time for each mount.
fn etc(view: &SuiteView, plan: &Plan) -> io::Result<()> {
    let etc = view.stage.join("etc");
    fs::create_dir(&etc)?;
    let network: &[&str] = if plan.network == Network::Host { ETC_NETWORK } else { &[] };
    for name in ETC.iter().chain(network) {
        let (from, to) = (Path::new("/etc").join(name), etc.join(name));
        let Ok(meta) = fs::metadata(&from) else { continue };
        fs::create_dir_all(to.parent().unwrap_or(&etc))?;
        if meta.is_dir() {
            fs::create_dir(&to)?;
            bind(&from, &to)?;
        } else if meta.is_file() && fs::copy(&from, &to).is_err() {
            // What this user may not read, the task need not.
            fs::remove_file(&to).ok();
        }
    }
    for folder in [etc.clone(), etc.join("ssl")] {
        fs::set_permissions(folder, Permissions::from_mode(0o755)).ok();
    }
    names(view, plan, &etc)
}

fn names(view: &SuiteView, plan: &Plan, etc: &Path) -> io::Result<()> {
    let (uid, home) = (plan.user.unwrap_or_else(|| geteuid().as_raw()), view.home.display());
    let gid = plan.user.unwrap_or_else(|| getegid().as_raw());
    let mut passwd = format!("student:x:{uid}:{gid}:student:{home}:/bin/sh\n");
    let mut group = format!("student:x:{gid}:\n");
    if uid != 0 {
        passwd = format!("root:x:0:0:root:/root:/usr/sbin/nologin\n{passwd}");
        group = format!("root:x:0:\n{group}");
    }
    fs::write(etc.join("passwd"), passwd)?;
    fs::write(etc.join("group"), group)?;
    if plan.network == Network::None {
        fs::write(etc.join("hosts"), "127.0.0.1 localhost sandbox\n::1 localhost\n")?;
    }
    Ok(())
}

/// The folders outside that a suite may read, those that are there.
pub fn visible(view: &SuiteView) -> impl Iterator<Item = &PathBuf> {
    let system = |folder: &&PathBuf| !SYSTEM.iter().any(|system| folder.starts_with(system));
    view.readable.iter().filter(system).filter(|folder| folder.is_dir())
}

fn bind(from: &Path, to: &Path) -> io::Result<()> {
    let told = |error| io::Error::other(format!("{}: {error}", from.display()));
    mount(Some(from), to, None::<&str>, MsFlags::MS_BIND, None::<&str>).map_err(told)
}

/// A copy of a tree whose files are the shared ones, mounted read only. Each folder is a mount as well, for what is a
/// mount cannot be renamed or removed.
fn link_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    bind(to, to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, source, target) = (entry.file_type()?, entry.path(), to.join(entry.file_name()));
        if kind.is_dir() {
            link_tree(&source, &target)?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(&source)?, &target)?;
        } else if kind.is_file() {
            fs::File::create(&target)?;
            bind(&source, &target)?;
            // The flags that the mount had must stay, or the system refuses.
            let held = nix::sys::statvfs::statvfs(&target)?.flags();
            let mut flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
            for (has, flag) in [
                (nix::sys::statvfs::FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
                (nix::sys::statvfs::FsFlags::ST_NODEV, MsFlags::MS_NODEV),
                (nix::sys::statvfs::FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
                (nix::sys::statvfs::FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
                (nix::sys::statvfs::FsFlags::ST_RELATIME, MsFlags::MS_RELATIME),
            ] {
                if held.contains(has) {
                    flags |= flag;
                }
            }
            mount(None::<&str>, &target, None::<&str>, flags, None::<&str>)?;
        }
    }
    Ok(())
}

/// Brings the report out of the task's disk; a sentence where it is nothing that can be a report.
pub fn bring_out(plan: &Plan) -> Option<String> {
    let View::Suite(view) = &plan.view else { return None };
    if plan.level != Level::Bwrap {
        return None;
    }
    let name = view.report.file_name()?;
    let owner = Uid::from_raw(plan.user.unwrap_or_else(|| geteuid().as_raw()));
    match take_out(&view.stage.join("out").join(name), &view.report, owner, view.report_limit) {
        Ok(()) => None,
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(error.to_string()),
    }
}

fn take_out(from: &Path, to: &Path, owner: Uid, limit: u64) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
    let flags = nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK | nix::fcntl::OFlag::O_NOCTTY;
    let mut file = match fs::File::options().read(true).custom_flags(flags.bits()).open(from) {
        Err(error) if error.raw_os_error() == Some(nix::libc::ELOOP) => {
            return Err(io::Error::other("the report is a symbolic link, not a regular file"));
        }
        other => other?,
    };
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("the report is not a regular file"));
    }
    if meta.uid() != owner.as_raw() {
        return Err(io::Error::other("the report is not the suite's own file"));
    }
    if meta.len() > limit {
        let size = meta.len();
        return Err(io::Error::other(format!("the report has {size} bytes, more than the limit of {limit}")));
    }
    let mut copy = fs::File::create(to)?;
    io::copy(&mut io::Read::take(&mut file, limit), &mut copy).map(drop)
}
