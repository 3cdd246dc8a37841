//! Checks the state folder and the work folder: permissions, free space, and who uses them.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use nix::errno::Errno;
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, Uid, User, access, geteuid};

use super::cause::{self, quoted};
use super::{Finding, State};
use crate::config::{Settings, foresee, slot};
use crate::spool::{self, Lock};
use text::thousands;

/// Free bytes below which a claim and its result may not fit.
const MIN_FREE: u64 = 16 << 20;

/// Free bytes below which suites, environments and tasks may soon not fit.
const LOW_FREE: u64 = 1 << 30;

/// Free inodes below which environments may soon not fit; one has thousands of files.
const LOW_INODES: u64 = 20_000;

/// A folder of the settings, with the names of its checks: permissions, disk, inodes.
struct Folder<'a> {
    checks: [&'static str; 3],
    option: &'static str,
    path: &'a Path,
}

pub(super) fn check(settings: &Settings) -> Vec<Finding> {
    // A relative path has no parent folders by name.
    let state = settings.folders.state().and_then(|state| {
        std::path::absolute(&state).with_context(|| format!("--state-dir {}", state.display()))
    });
    let state = match state {
        Ok(state) => state,
        Err(error) => {
            return vec![Finding::failure(
                "state folder",
                format!("{error:#}"),
                "export HOME=…, or give --state-dir",
            )];
        }
    };
    let (state, slots) = match slot::shared(&state) {
        Some(shared) => (shared.to_owned(), true),
        None => (state, false),
    };
    let whole = Folder { checks: ["state folder", "disk", "inodes"], option: "--state-dir", path: &state };
    let mut findings = folder(&whole);
    if state.is_dir() {
        let used = if slots {
            slot::numbers(&state).iter().map(|number| state.join(number.to_string())).collect()
        } else {
            vec![state.clone()]
        };
        let foreign: Vec<_> = used.iter().filter_map(|state| contents(state)).collect();
        if !foreign.is_empty() {
            findings.retain(|finding| finding.check != "state folder" || finding.state != State::Ok);
        }
        findings.extend(foreign);
        findings.push(if slots { locks(&state) } else { lock(&state) });
    }
    if let Some(work) = &settings.folders.work_dir {
        let path = std::path::absolute(work).unwrap_or_else(|_| work.clone());
        let checks = ["work folder", "work disk", "work inodes"];
        findings.extend(folder(&Folder { checks, option: "--work-dir", path: &path }));
    }
    findings
}

/// Checks the permissions of a folder and the free space on its disk.
fn folder(of: &Folder<'_>) -> Vec<Finding> {
    if let Err(error) = foresee(of.option, of.path) {
        let mend = format!("ls -ld {}; give another {}", quoted(of.path), of.option);
        return vec![Finding::failure(of.checks[0], format!("{error:#}"), mend)];
    }
    // A missing folder will be made in the nearest one that exists.
    let Some(existing) = of.path.ancestors().find(|folder| folder.is_dir()) else { return Vec::new() };
    let mut findings = vec![permissions(of, existing)];
    findings.extend(disk(of, existing));
    findings
}

/// Whether this user can write to the folder, and others cannot.
fn permissions(of: &Folder<'_>, existing: &Path) -> Finding {
    let (check, name) = (of.checks[0], of.path.display());
    if let Err(error) = access(existing, AccessFlags::W_OK | AccessFlags::X_OK) {
        let says = format!("{} cannot be written to: {error}", existing.display());
        return Finding::failure(check, says, make_writable(of, existing, error));
    }
    if existing != of.path {
        return Finding::ok(check, format!("{name} does not exist yet; the first start makes it"));
    }
    let mode = existing.metadata().map(|meta| meta.permissions().mode() & 0o777).unwrap_or_default();
    if mode & 0o022 != 0 {
        let says = format!("{name} has mode {mode:03o}: others may write to it");
        return Finding::warning(check, says, format!("chmod go-w {}", quoted(of.path)));
    }
    Finding::ok(check, format!("{name}, mode {mode:03o}"))
}

/// A file in a state folder that does not belong to its owner, for example after root has started the runner once.
fn contents(state: &Path) -> Option<Finding> {
    const CHECK: &str = "state folder";
    let owner = Uid::from_raw(state.metadata().ok()?.uid());
    let mend = |user: Uid| format!("chown -R {} {}", name(user), quoted(state));
    // Root can write to everything, but the daemon runs as the owner of the folder.
    if geteuid().is_root() {
        let foreign = foreign(state, owner).filter(|_| !owner.is_root())?;
        let says = format!("{} is not {}'s, who owns the state folder", foreign.display(), name(owner));
        return Some(Finding::warning(CHECK, says, mend(owner)));
    }
    if access(state, AccessFlags::W_OK | AccessFlags::X_OK).is_err() {
        return None; // `permissions` reports this.
    }
    if let Err(error) = spool::preflight(state) {
        let says = format!("{:#}", anyhow::Error::from(error));
        let is_rights = says.contains("(os error 13)") || says.contains("(os error 1)");
        let mend =
            if is_rights { mend(geteuid()) } else { format!("ls -lR {}", quoted(&state.join("spool"))) };
        return Some(Finding::failure(CHECK, says, mend));
    }
    let all = AccessFlags::R_OK | AccessFlags::W_OK;
    let foreign = foreign(state, geteuid()).filter(|path| access(path, all).is_err())?;
    let says = format!("{} cannot be written to", foreign.display());
    Some(Finding::failure(CHECK, says, mend(geteuid())))
}

/// The first file directly in `state` or its spool that does not belong to `owner`.
fn foreign(state: &Path, owner: Uid) -> Option<PathBuf> {
    let below = [state.to_owned(), state.join("spool")];
    let entries = below.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
    let foreign = |path: &PathBuf| path.symlink_metadata().is_ok_and(|meta| meta.uid() != owner.as_raw());
    entries.map(|entry| entry.path()).find(foreign)
}

/// The command that makes the folder writable. `existing` is the folder, or the one in which it will be made. The command
/// must not take a folder such as `/var/lib` from its owner, or the state folder from the user of a service.
fn make_writable(of: &Folder<'_>, existing: &Path, error: Errno) -> String {
    let (state, another) = (of.path, format!("give another {}", of.option));
    let user = name(geteuid());
    let owner = existing.metadata().map(|meta| Uid::from_raw(meta.uid()));
    match owner {
        _ if error == Errno::EROFS => format!("{}, or {another}", cause::remount(existing)),
        // A new folder is useless if this user cannot pass through its parent.
        _ if existing != state && access(existing, AccessFlags::X_OK).is_ok() => {
            format!("install -d -m 700 -o {user} {}", quoted(state))
        }
        Ok(owner) if existing == state && owner == geteuid() => format!("chmod u+rwx {}", quoted(state)),
        Ok(owner) if existing == state => {
            format!("run it as {}, whose folder it is, or {another}", name(owner))
        }
        _ => another,
    }
}

/// The name of a user, or the number if it has none. `$USER` is often another user.
fn name(user: Uid) -> String {
    User::from_uid(user).ok().flatten().map_or_else(|| user.to_string(), |user| user.name)
}

/// Checks the free space and the free inodes of a disk.
fn disk(of: &Folder<'_>, existing: &Path) -> Vec<Finding> {
    let [_, disk_check, inodes_check] = of.checks;
    let Ok(disk) = statvfs(existing) else { return Vec::new() };
    let free = disk.blocks_available().saturating_mul(disk.fragment_size());
    let says = format!("{} MB free", thousands(free >> 20));
    let mend = format!("df -h {0}; du -xsh {0}/*", quoted(existing));
    let room = match free {
        // Some network file systems do not count blocks.
        _ if disk.blocks() == 0 => Finding::ok(disk_check, "the file system does not report its free space"),
        ..MIN_FREE => Finding::failure(disk_check, says, mend),
        MIN_FREE..LOW_FREE => Finding::warning(disk_check, says, mend),
        _ => Finding::ok(disk_check, says),
    };
    let left = disk.files_available();
    let says = format!("{} free", thousands(left));
    let mend = format!("df -i {}", quoted(existing));
    let inodes = match left {
        // btrfs and others allocate inodes as needed.
        _ if disk.files() == 0 => Finding::ok(inodes_check, "allocated as needed"),
        ..100 => Finding::failure(inodes_check, says, mend),
        100..LOW_INODES => Finding::warning(inodes_check, says, mend),
        _ => Finding::ok(inodes_check, says),
    };
    vec![room, inodes]
}

/// Whether a runner works in the state folder.
fn lock(state: &Path) -> Finding {
    match Lock::holder(state) {
        Ok(Some(holder)) => Finding::ok("lock", format!("a runner works here: {holder}")),
        Ok(None) => Finding::ok("lock", "nobody works here"),
        Err(error) => Finding::failure("lock", error.to_string(), unlock(state)),
    }
}

/// The command that makes the lock files readable.
fn unlock(state: &Path) -> String {
    format!("chown {} {}/*.lock", name(geteuid()), quoted(state))
}

/// Which runner works in which slot. The locks of the slots are not tried, because a runner that starts meanwhile would
/// skip that slot.
fn locks(shared: &Path) -> Finding {
    let (mut held, mut free) = (Vec::new(), Vec::new());
    for number in slot::numbers(shared) {
        match Lock::holder(&shared.join(number.to_string())) {
            Ok(Some(holder)) => held.push(format!("slot {number}: {holder}")),
            Ok(None) => free.push(number.to_string()),
            Err(error) => {
                let mend = unlock(&shared.join(number.to_string()));
                return Finding::failure("lock", error.to_string(), mend);
            }
        }
    }
    if !free.is_empty() || held.is_empty() {
        let which = if free.is_empty() { "here".to_owned() } else { format!("in {}", free.join(", ")) };
        held.push(format!("nobody works {which}"));
    }
    Finding::ok("lock", held.join("; "))
}
