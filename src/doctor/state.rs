//! The state folder: whether it can be written to, how much goes in, who holds it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Context;
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};

use super::Finding;
use crate::config::Settings;
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
        findings.push(lock(&state));
    }
    findings
}

fn rights(state: &Path, there: &Path) -> Finding {
    let name = state.display();
    if let Err(error) = access(there, AccessFlags::W_OK | AccessFlags::X_OK) {
        let says = format!("{} cannot be written to: {error}", there.display());
        let user = std::env::var("USER").unwrap_or_else(|_| "USER".to_owned());
        return Finding::failure("state folder", says, format!("chown {user} {}", there.display()));
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
