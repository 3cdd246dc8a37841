//! The state folder: whether it can be written to, how much goes in, who holds it.

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

/// Less room than this is too little for a claim and its result.
const LEAST: u64 = 16 << 20;

/// Less room than this is soon too little for suites, environments and tasks.
const SCARCE: u64 = 1 << 30;

/// Fewer files than this are soon too few: an environment has thousands.
const FEW: u64 = 20_000;

/// A folder of the settings, and what is said of it under which names.
struct Folder<'a> {
    checks: [&'static str; 3],
    option: &'static str,
    path: &'a Path,
}

pub(super) fn look(settings: &Settings) -> Vec<Finding> {
    // Absolute, for what is named from here has no folder above it by its name.
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

/// A folder's rights, and the room on its disk.
fn folder(of: &Folder<'_>) -> Vec<Finding> {
    if let Err(error) = foresee(of.option, of.path) {
        let mend = format!("ls -ld {}; give another {}", quoted(of.path), of.option);
        return vec![Finding::failure(of.checks[0], format!("{error:#}"), mend)];
    }
    // What is not there yet will be made below what is.
    let Some(there) = of.path.ancestors().find(|folder| folder.is_dir()) else { return Vec::new() };
    let mut findings = vec![rights(of, there)];
    findings.extend(disk(of, there));
    findings
}

fn rights(of: &Folder<'_>, there: &Path) -> Finding {
    let (check, name) = (of.checks[0], of.path.display());
    if let Err(error) = access(there, AccessFlags::W_OK | AccessFlags::X_OK) {
        let says = format!("{} cannot be written to: {error}", there.display());
        return Finding::failure(check, says, let_in(of, there, error));
    }
    if there != of.path {
        return Finding::ok(check, format!("{name} is not there yet; the first start makes it"));
    }
    let mode = there.metadata().map(|meta| meta.permissions().mode() & 0o777).unwrap_or_default();
    if mode & 0o022 != 0 {
        let says = format!("{name} has mode {mode:03o}: others may write to it");
        return Finding::warning(check, says, format!("chmod go-w {}", quoted(of.path)));
    }
    Finding::ok(check, format!("{name}, mode {mode:03o}"))
}

/// What is in a state folder and is not its owner's: left by a runner that root has started once, say.
fn contents(state: &Path) -> Option<Finding> {
    const CHECK: &str = "state folder";
    let owner = Uid::from_raw(state.metadata().ok()?.uid());
    let mend = |user: Uid| format!("chown -R {} {}", name(user), quoted(state));
    // Root may do everything; the folder's owner, who is to be the daemon, may not.
    if geteuid().is_root() {
        let foreign = foreign(state, owner).filter(|_| !owner.is_root())?;
        let says = format!("{} is not {}'s, who has the state folder", foreign.display(), name(owner));
        return Some(Finding::warning(CHECK, says, mend(owner)));
    }
    if access(state, AccessFlags::W_OK | AccessFlags::X_OK).is_err() {
        return None; // It has been said.
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

/// The first thing directly in `state` that is somebody else's.
fn foreign(state: &Path, owner: Uid) -> Option<PathBuf> {
    let below = [state.to_owned(), state.join("spool")];
    let entries = below.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
    let foreign = |path: &PathBuf| path.symlink_metadata().is_ok_and(|meta| meta.uid() != owner.as_raw());
    entries.map(|entry| entry.path()).find(foreign)
}

/// What makes `state` writable, where `there`, which is `state` or what it will be made below, is not. Nothing that
/// would take a folder such as `/var/lib` from its owner, or the state from the user of a service.
fn let_in(of: &Folder<'_>, there: &Path, error: Errno) -> String {
    let (state, another) = (of.path, format!("give another {}", of.option));
    let user = name(geteuid());
    let owner = there.metadata().map(|meta| Uid::from_raw(meta.uid()));
    match owner {
        _ if error == Errno::EROFS => format!("{}, or {another}", cause::remount(there)),
        // What cannot be passed through is no place for a folder of this user's.
        _ if there != state && access(there, AccessFlags::X_OK).is_ok() => {
            format!("install -d -m 700 -o {user} {}", quoted(state))
        }
        Ok(owner) if there == state && owner == geteuid() => format!("chmod u+rwx {}", quoted(state)),
        Ok(owner) if there == state => format!("run it as {}, whose folder it is, or {another}", name(owner)),
        _ => another,
    }
}

/// The user's name; the number, where it has none. Not `$USER`, which is often somebody else.
fn name(user: Uid) -> String {
    User::from_uid(user).ok().flatten().map_or_else(|| user.to_string(), |user| user.name)
}

fn disk(of: &Folder<'_>, there: &Path) -> Vec<Finding> {
    let [_, disk_check, inodes_check] = of.checks;
    let Ok(disk) = statvfs(there) else { return Vec::new() };
    let free = disk.blocks_available().saturating_mul(disk.fragment_size());
    let says = format!("{} MB free", thousands(free >> 20));
    let mend = format!("df -h {0}; du -xsh {0}/*", quoted(there));
    let room = match free {
        // Some network file systems count no blocks at all.
        _ if disk.blocks() == 0 => Finding::ok(disk_check, "its file system does not say how much is free"),
        ..LEAST => Finding::failure(disk_check, says, mend),
        LEAST..SCARCE => Finding::warning(disk_check, says, mend),
        _ => Finding::ok(disk_check, says),
    };
    let left = disk.files_available();
    let says = format!("{} free", thousands(left));
    let mend = format!("df -i {}", quoted(there));
    let inodes = match left {
        // btrfs and others make them as they are needed.
        _ if disk.files() == 0 => Finding::ok(inodes_check, "made as they are needed"),
        ..100 => Finding::failure(inodes_check, says, mend),
        100..FEW => Finding::warning(inodes_check, says, mend),
        _ => Finding::ok(inodes_check, says),
    };
    vec![room, inodes]
}

fn lock(state: &Path) -> Finding {
    match Lock::holder(state) {
        Ok(Some(who)) => Finding::ok("lock", format!("a runner works here: {who}")),
        Ok(None) => Finding::ok("lock", "nobody works here"),
        Err(error) => Finding::failure("lock", error.to_string(), unlock(state)),
    }
}

/// What makes a lock readable that is not.
fn unlock(state: &Path) -> String {
    format!("chown {} {}/*.lock", name(geteuid()), quoted(state))
}

/// Who works in which slot. The slots' own locks are not tried: a runner that starts meanwhile would pass that one by.
fn locks(shared: &Path) -> Finding {
    let (mut held, mut free) = (Vec::new(), Vec::new());
    for number in slot::numbers(shared) {
        match Lock::holder(&shared.join(number.to_string())) {
            Ok(Some(who)) => held.push(format!("slot {number}: {who}")),
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
