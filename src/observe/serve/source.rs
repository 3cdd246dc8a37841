//! The source of all answers: the state of the process, and the disk.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::observe::Observe;
use crate::spool::{Depth, Spool};

/// How long a reading of the disk is used.
const DISK_MAX_AGE: Duration = Duration::from_secs(1);

/// What the answers are made from.
#[derive(Debug)]
pub struct Source {
    pub(super) observe: Observe,
    /// Whether tasks need a suite, so that readiness includes it.
    pub(super) needs_suite: bool,
    spool: Spool,
    state: PathBuf,
    last_disk: Mutex<Option<(Instant, Disk)>>,
}

/// A reading of the disk.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Disk {
    /// Files of the spool.
    pub(super) depth: Depth,
    /// Free bytes in the state folder.
    pub(super) free: Option<u64>,
}

impl Source {
    /// Makes a source that reads `observe`, `spool` and the free space of the folder `state`. `needs_suite`: tasks need
    /// a suite, so that readiness includes it.
    pub fn new(observe: Observe, spool: Spool, state: PathBuf, needs_suite: bool) -> Self {
        Self { observe, needs_suite, spool, state, last_disk: Mutex::new(None) }
    }

    /// Reads the disk, at most once a second.
    pub(super) async fn disk(&self) -> Disk {
        let mut last = self.last_disk.lock().await;
        if let Some((at, disk)) = *last
            && at.elapsed() < DISK_MAX_AGE
        {
            return disk;
        }
        let (spool, state) = (self.spool.clone(), self.state.clone());
        let read = move || Disk {
            depth: spool.depth().unwrap_or_default(),
            free: nix::sys::statvfs::statvfs(&state)
                .ok()
                .map(|disk| disk.blocks_available().saturating_mul(disk.fragment_size())),
        };
        let disk = tokio::task::spawn_blocking(read).await.unwrap_or_default();
        *last = Some((Instant::now(), disk));
        disk
    }
}
