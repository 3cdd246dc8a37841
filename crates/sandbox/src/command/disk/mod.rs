//! Use of a command's disk: reported by the file system if the command has a disk of its own, else counted, folder by folder.

mod unnamed;
mod walk;

use std::cell::Cell;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::statvfs::statvfs;
use nix::time::{ClockId, clock_gettime};

use super::limit_hit::LimitHit;
use crate::confine::view::SHARED;
use crate::confine::{Level, Limits, Plan, View};
use walk::Walk;

/// Usual pause between two checks.
const PAUSE: Duration = Duration::from_millis(100);

/// Longest pause, after a count of very many files.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// Pause between two counts in folders without read permission: they are opened for a moment for that.
const OPENING_PAUSE: Duration = Duration::from_secs(1);

/// Shortest pause, while a disk of the command's own is almost full.
const MIN_PAUSE: Duration = Duration::from_millis(2);

/// Pages or files that a command can make in a second at the most: so a disk cannot be filled and emptied between two checks,
/// except in the shortest pause.
const MAX_SPEED: u64 = 1_000_000;

/// The disk of a command.
pub(super) enum Disk {
    /// Not limited.
    Unlimited,
    /// A file system of the command's own, with its mount point: it refuses writes that do not fit.
    Own(PathBuf),
    /// Folders on a file system of the machine.
    Watched(Watched),
}

/// Folders whose content is counted again and again.
pub(super) struct Watched {
    folders: Vec<PathBuf>,
    /// User id of the command, if it has a user of its own.
    user: Option<u32>,
    /// When folders without read permission were last opened.
    opened: Cell<Instant>,
}

/// How much a check may disturb the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// While it runs: a program that tests a folder without permissions must hardly ever find it open.
    Running,
    /// After its end.
    Last,
}

impl Disk {
    /// Returns the disk of a command with this plan.
    pub(super) fn of(plan: &Plan) -> Self {
        match (&plan.view, plan.level, plan.limits.disk.0) {
            (View::Suite(view), Level::Bwrap, _) => Self::Own(view.mountpoint.clone()),
            (View::Suite(view), Level::Basic, Some(_)) => {
                let folders = [&view.source, &view.suite, &view.home, &view.temp, &view.out];
                let shared = plan.own_shared.then(|| PathBuf::from(SHARED));
                let folders = folders.into_iter().cloned().chain(shared).collect();
                Self::Watched(Watched { folders, user: plan.user, opened: Cell::new(Instant::now()) })
            }
            _ => Self::Unlimited,
        }
    }

    pub(super) fn is_limited(&self) -> bool {
        !matches!(self, Self::Unlimited)
    }

    /// Returns the bytes on a disk of the command's own, which is in memory; 0 for other disks.
    pub(super) fn in_memory(&self) -> u64 {
        let Self::Own(mount) = self else { return 0 };
        statvfs(mount).map_or(0, |room| {
            room.blocks().saturating_sub(room.blocks_free()).saturating_mul(room.fragment_size())
        })
    }

    /// Checks the disk. Returns the limit that is hit now, and how long to wait before the next check.
    pub(super) fn look(&self, limits: &Limits, depth: Depth) -> (Option<LimitHit>, Duration) {
        match self {
            Self::Unlimited => (None, PAUSE),
            Self::Own(mount) => {
                let Ok(room) = statvfs(mount) else { return (None, PAUSE) };
                let (bytes, files) = (room.blocks_available(), room.files_available());
                let hit = match (bytes, files) {
                    (0, _) => Some(LimitHit::DiskFull),
                    (_, 0) => Some(LimitHit::FilesFull),
                    _ => None,
                };
                let at_best = Duration::from_micros(bytes.min(files).saturating_mul(1_000_000) / MAX_SPEED);
                // While the disk is full, a frequent check finds nothing new.
                let pause = if hit.is_some() { PAUSE } else { at_best.clamp(MIN_PAUSE, PAUSE) };
                (hit, pause)
            }
            Self::Watched(watched) => {
                let before = cpu();
                let open = depth == Depth::Last || watched.opened.get().elapsed() >= OPENING_PAUSE;
                if open {
                    watched.opened.set(Instant::now());
                }
                let mut walk = Walk::new(limits, open);
                for folder in &watched.folders {
                    walk.count(folder);
                }
                unnamed::count(&mut walk, watched.user);
                // Counting must not use more processor time than the command. Wall time would mislead on a busy machine.
                (walk.hit(), PAUSE.max(cpu().saturating_sub(before) * 5).min(MAX_PAUSE))
            }
        }
    }
}

/// Returns the processor time of this process, which has one thread.
fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}
