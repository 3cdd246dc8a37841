//! Landlock: which files a confined program may read and write, and which processes it may signal.

use std::io;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, Scope,
};
use nix::libc;

/// The newest ABI version whose rights are used, if the kernel supports it.
const NEWEST: ABI = ABI::V6;

/// The first ABI version that restricts signals.
const SIGNALS: i32 = 6;

/// Returns the ABI version that the kernel supports; 0: none.
#[expect(unsafe_code, reason = "the call has no safe form")]
pub fn version() -> i32 {
    // SAFETY: with this flag the call takes no memory and only answers a number.
    let answer =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0usize, 1u32) };
    i32::try_from(answer).unwrap_or(0).max(0)
}

/// Restricts this process, and everything that it starts, to the files in `readable` and `writable`. Paths that do not exist
/// are skipped.
pub(super) fn apply(readable: &[PathBuf], writable: &[PathBuf]) -> io::Result<()> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))
        .and_then(|rules| rules.scope(Scope::from_all(NEWEST)))
        .and_then(Ruleset::create)
        .map_err(io::Error::other)?;
    let reading = AccessFs::from_read(NEWEST);
    let all = AccessFs::from_all(NEWEST);
    for (paths, rights) in [(readable, reading), (writable, all)] {
        for path in paths {
            let Some(fd) = open(path) else { continue };
            // Rights of folders are an error for a file.
            let rights = if path.is_dir() { rights } else { rights & AccessFs::from_file(NEWEST) };
            rules = rules.add_rule(PathBeneath::new(fd, rights)).map_err(io::Error::other)?;
        }
    }
    rules.restrict_self().map(drop).map_err(io::Error::other)
}

/// Keeps this process, and everything that it starts, from signalling and inspecting processes that are not restricted in
/// the same way. Files are not restricted: moving them between folders must be allowed by name, since every rule set denies
/// that by default.
pub(super) fn isolate_processes() -> io::Result<()> {
    if version() < SIGNALS {
        return Ok(());
    }
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::Refer)
        .and_then(|rules| rules.scope(Scope::Signal))
        .and_then(Ruleset::create)
        .map_err(io::Error::other)?;
    let root = PathFd::new("/").map_err(io::Error::other)?;
    let rules = rules.add_rule(PathBeneath::new(root, AccessFs::Refer)).map_err(io::Error::other)?;
    rules.restrict_self().map(drop).map_err(io::Error::other)
}

fn open(path: &Path) -> Option<PathFd> {
    PathFd::new(path).ok()
}
