//! What a step has on its disk: asked of the filesystem where that is the step's own; else counted, folder by folder.

mod unnamed;
mod walk;

use std::path::PathBuf;
use std::time::Duration;

use nix::sys::statvfs::statvfs;
use nix::time::{ClockId, clock_gettime};

use super::hit::Hit;
use crate::sandbox::{Level, Limits, Plan, View};
use walk::Walk;

/// The usual pause between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// The longest one, after a look at very many files.
const LONGEST: Duration = Duration::from_secs(1);

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
    /// Folders on the machine's, and the user that the step runs as, where that is another one.
    Watched(Vec<PathBuf>, Option<u32>),
}

impl Disk {
    pub(super) fn of(plan: &Plan) -> Self {
        match (&plan.view, plan.level, plan.limits.disk.0) {
            (View::Suite(view), Level::Bwrap, _) => Self::Own(view.stage.clone()),
            (View::Suite(view), Level::Basic, Some(_)) => {
                let folders = [&view.source, &view.suite, &view.home, &view.temp, &view.out];
                Self::Watched(folders.map(Clone::clone).to_vec(), plan.user)
            }
            _ => Self::Free,
        }
    }

    pub(super) fn is_looked_at(&self) -> bool {
        !matches!(self, Self::Free)
    }

    /// The limit that is hit now, and how long to wait before the next look.
    pub(super) fn look(&self, limits: &Limits) -> (Option<Hit>, Duration) {
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
            Self::Watched(folders, user) => {
                let before = cpu();
                let mut walk = Walk::new(limits);
                for folder in folders {
                    walk.weigh(folder);
                }
                unnamed::weigh(&mut walk, *user);
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
