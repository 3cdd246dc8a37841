//! The state folder: whether it can be written to, how much goes in, who holds it.

use std::borrow::Cow;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use anyhow::Context;
use nix::errno::Errno;
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, Uid, User, access, geteuid};

use super::Finding;
use crate::config::{Settings, slot};
use crate::spool::Lock;
use crate::text::thousands;

/// Less room than this is too little for a claim and its result.
const LEAST: u64 = 16 << 20;

/// Less room than this is soon too little for suites, environments and tasks.
const SCARCE: u64 = 1 << 30;

/// Fewer files than this are soon too few: an environment has thousands.
const FEW: u64 = 20_000;

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
    // What is not there yet will be made below what is.
    let Some(there) = state.ancestors().find(|folder| folder.is_dir()) else {
        return vec![Finding::failure(
            "state folder",
            format!("{} cannot be made", state.display()),
            "choose another --state-dir",
        )];
    };
    let mut findings = vec![rights(&state, there)];
    findings.extend(disk(there));
    if there == state {
        findings.push(if slots { locks(&state) } else { lock(&state) });
    }
    findings
}

fn rights(state: &Path, there: &Path) -> Finding {
    let name = state.display();
    if let Err(error) = access(there, AccessFlags::W_OK | AccessFlags::X_OK) {
        let says = format!("{} cannot be written to: {error}", there.display());
        return Finding::failure("state folder", says, let_in(state, there, error));
    }
    if there != state {
        return Finding::ok("state folder", format!("{name} is not there yet; the first start makes it"));
    }
    let mode = there.metadata().map(|meta| meta.permissions().mode() & 0o777).unwrap_or_default();
    if mode & 0o022 != 0 {
        let says = format!("{name} has mode {mode:03o}: others may write to it");
        return Finding::warning("state folder", says, format!("chmod go-w {name}"));
    }
    Finding::ok("state folder", format!("{name}, mode {mode:03o}"))
}

/// What makes `state` writable, where `there`, which is `state` or what it will be made below, is not. Nothing that
/// would take a folder such as `/var/lib` from its owner, or the state from the user of a service.
fn let_in(state: &Path, there: &Path, error: Errno) -> String {
    const ANOTHER: &str = "give another --state-dir";
    let user = name(geteuid());
    let quoted = |path: &Path| {
        let text = path.display().to_string();
        shlex::try_quote(&text).map_or_else(|_| text.clone(), Cow::into_owned)
    };
    let owner = there.metadata().map(|meta| Uid::from_raw(meta.uid()));
    match owner {
        _ if error == Errno::EROFS => format!("remount it writable, or {ANOTHER}"),
        // What cannot be passed through is no place for a folder of this user's.
        _ if there != state && access(there, AccessFlags::X_OK).is_ok() => {
            format!("install -d -m 700 -o {user} {}", quoted(state))
        }
        Ok(owner) if there == state && owner == geteuid() => format!("chmod u+rwx {}", quoted(state)),
        Ok(owner) if there == state => format!("run it as {}, whose folder it is, or {ANOTHER}", name(owner)),
        _ => ANOTHER.to_owned(),
    }
}

/// The user's name; the number, where it has none. Not `$USER`, which is often somebody else.
fn name(user: Uid) -> String {
    User::from_uid(user).ok().flatten().map_or_else(|| user.to_string(), |user| user.name)
}

fn disk(there: &Path) -> Vec<Finding> {
    let Ok(disk) = statvfs(there) else { return Vec::new() };
    let free = disk.blocks_available().saturating_mul(disk.fragment_size());
    let says = format!("{} MB free", thousands(free >> 20));
    let mend = format!("df -h {0}; du -xsh {0}/*", there.display());
    let room = match free {
        // Some network file systems count no blocks at all.
        _ if disk.blocks() == 0 => Finding::ok("disk", "its file system does not say how much is free"),
        ..LEAST => Finding::failure("disk", says, mend),
        LEAST..SCARCE => Finding::warning("disk", says, mend),
        _ => Finding::ok("disk", says),
    };
    let left = disk.files_available();
    let says = format!("{} free", thousands(left));
    let mend = format!("df -i {}", there.display());
    let inodes = match left {
        // btrfs and others make them as they are needed.
        _ if disk.files() == 0 => Finding::ok("inodes", "made as they are needed"),
        ..100 => Finding::failure("inodes", says, mend),
        100..FEW => Finding::warning("inodes", says, mend),
        _ => Finding::ok("inodes", says),
    };
    vec![room, inodes]
}

fn lock(state: &Path) -> Finding {
    match Lock::holder(state) {
        Ok(Some(who)) => Finding::ok("lock", format!("a runner works here: {who}")),
        Ok(None) => Finding::ok("lock", "nobody works here"),
        Err(error) => Finding::failure("lock", error.to_string(), format!("ls -l {}", state.display())),
    }
}

/// Who works in which slot. The slots' own locks are not tried: a runner that starts meanwhile would pass that one by.
fn locks(shared: &Path) -> Finding {
    let (mut held, mut free) = (Vec::new(), Vec::new());
    for number in slot::numbers(shared) {
        match Lock::holder(&shared.join(number.to_string())) {
            Ok(Some(who)) => held.push(format!("slot {number}: {who}")),
            Ok(None) => free.push(number.to_string()),
            Err(error) => {
                let mend = format!("ls -l {}/{number}", shared.display());
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
