//! Landlock: which files a confined program may read and write, and that it signals nobody outside.

use std::io;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, Scope,
};
use nix::libc;

/// The newest version whose rights are used where the kernel knows them.
const NEWEST: ABI = ABI::V6;

/// The first version that keeps signals in.
const SIGNALS: i32 = 6;

/// The version that the kernel knows; 0: none.
#[expect(unsafe_code, reason = "the call has no safe form")]
pub fn version() -> i32 {
    // SAFETY: with this flag the call takes no memory and only answers a number.
    let answer =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0usize, 1u32) };
    i32::try_from(answer).unwrap_or(0).max(0)
}

/// Restricts this process, and all it starts, to `readable` and `writable`. What is not there is left out.
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
            // A right for folders means nothing for a file.
            let rights = if path.is_dir() { rights } else { rights & AccessFs::from_file(NEWEST) };
            rules = rules.add_rule(PathBeneath::new(fd, rights)).map_err(io::Error::other)?;
        }
    }
    rules.restrict_self().map(drop).map_err(io::Error::other)
}

/// Keeps this process, and all it starts, from signalling and looking into what is not restricted likewise. Files are left
/// as they are, for which moving them from folder to folder has to be named: what says nothing of it denies it.
pub(super) fn leave_alone_outside() -> io::Result<()> {
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
