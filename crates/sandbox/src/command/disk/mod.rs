//! What a step has on its disk: asked of the filesystem where that is the step's own; else counted, folder by folder.

mod unnamed;
mod walk;

use std::cell::Cell;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::statvfs::statvfs;
use nix::time::{ClockId, clock_gettime};

use super::hit::Hit;
use crate::confine::view::SHARED;
use crate::confine::{Level, Limits, Plan, View};
use walk::Walk;

/// The usual pause between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// The longest one, after a look at very many files.
const LONGEST: Duration = Duration::from_secs(1);

/// Pause between two looks into folders that their owner has closed: for that they are opened for a moment.
const OPENING: Duration = Duration::from_secs(1);

/// The shortest, while a disk of the step's own is about to be full.
const SHORTEST: Duration = Duration::from_millis(2);

/// Pages or files that nobody makes faster, in a second: no disk fills up and is emptied again between two looks, but in
/// the shortest pause.
const FASTEST: u64 = 1_000_000;

/// The disk of a step.
pub(super) enum Disk {
    /// Nobody looks.
    Free,
    /// A filesystem of its own, mounted there: it refuses what does not fit.
    Own(PathBuf),
    /// Folders on the machine's.
    Watched(Watched),
}

/// Folders that are weighed again and again.
pub(super) struct Watched {
    folders: Vec<PathBuf>,
    /// The user that the step runs as, where that is another one.
    user: Option<u32>,
    /// When folders were last opened whose owner had closed them.
    opened: Cell<Instant>,
}

/// How much of the task's own a look may disturb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// While it runs: a program that tests what a closed folder refuses must not find it open, or hardly ever.
    Running,
    /// When it has ended.
    Last,
}

impl Disk {
    pub(super) fn of(plan: &Plan) -> Self {
        match (&plan.view, plan.level, plan.limits.disk.0) {
            (View::Suite(view), Level::Bwrap, _) => Self::Own(view.stage.clone()),
            (View::Suite(view), Level::Basic, Some(_)) => {
                let folders = [&view.source, &view.suite, &view.home, &view.temp, &view.out];
                let shared = plan.own_shared.then(|| PathBuf::from(SHARED));
                let folders = folders.into_iter().cloned().chain(shared).collect();
                Self::Watched(Watched { folders, user: plan.user, opened: Cell::new(Instant::now()) })
            }
            _ => Self::Free,
        }
    }

    pub(super) fn is_looked_at(&self) -> bool {
        !matches!(self, Self::Free)
    }

    /// Bytes on a disk of the step's own, which lies in memory.
    pub(super) fn in_memory(&self) -> u64 {
        let Self::Own(mount) = self else { return 0 };
        statvfs(mount).map_or(0, |room| {
            room.blocks().saturating_sub(room.blocks_free()).saturating_mul(room.fragment_size())
        })
    }

    /// The limit that is hit now, and how long to wait before the next look.
    pub(super) fn look(&self, limits: &Limits, depth: Depth) -> (Option<Hit>, Duration) {
        match self {
            Self::Free => (None, LOOK),
            Self::Own(mount) => {
                let Ok(room) = statvfs(mount) else { return (None, LOOK) };
                let (bytes, files) = (room.blocks_available(), room.files_available());
                let hit = match (bytes, files) {
                    (0, _) => Some(Hit::DiskFull),
                    (_, 0) => Some(Hit::FilesFull),
                    _ => None,
                };
                let at_best = Duration::from_micros(bytes.min(files).saturating_mul(1_000_000) / FASTEST);
                // Once it is full there is nothing new to see.
                let pause = if hit.is_some() { LOOK } else { at_best.clamp(SHORTEST, LOOK) };
                (hit, pause)
            }
            Self::Watched(watched) => {
                let before = cpu();
                let open = depth == Depth::Last || watched.opened.get().elapsed() >= OPENING;
                if open {
                    watched.opened.set(Instant::now());
                }
                let mut walk = Walk::new(limits, open);
                for folder in &watched.folders {
                    walk.weigh(folder);
                }
                unnamed::weigh(&mut walk, watched.user);
                // Looking must not become the work itself. On a busy machine it takes long without being much.
                (walk.hit(), LOOK.max(cpu().saturating_sub(before) * 5).min(LONGEST))
            }
        }
    }
}

/// Processor time of this process, which has one thread.
fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}
