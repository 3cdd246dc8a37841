//! From the room for a claim to its result: a slot, a claim, and what finishes it.

use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};

use super::files::{Place, at, remove};
use super::finished::Finished;
use super::format::{self, ClaimFile, ResultFile};
use super::{Inner, stamp};
use crate::task::TaskId;

/// Room for a claim: the largest answer that is read (4 MiB) and the lines around it.
const ROOM: i64 = (4 << 20) + (64 << 10);

/// Room for one claim, taken before the backend is asked. Keep it for the next question where no task came; dropping
/// it gives the room back.
#[derive(Debug)]
pub struct Slot {
    inner: Arc<Inner>,
    name: String,
    path: PathBuf,
    file: File,
}

impl Slot {
    pub(super) fn reserve(inner: &Arc<Inner>) -> io::Result<Self> {
        let name = stamp::name(SystemTime::now());
        let path = inner.folders.folder(Place::Unfinished).join(format!("{name}.claim"));
        let file = inner.folders.create(&path)?;
        // Made whole before anything can fail, so that the file goes with it.
        let slot = Self { inner: inner.clone(), name, path, file };
        match fallocate(&slot.file, FallocateFlags::empty(), 0, ROOM) {
            // What the file system cannot promise is written.
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => {
                io::copy(&mut io::Read::take(io::repeat(0), ROOM.unsigned_abs()), &mut &slot.file)
                    .and_then(|_| slot.file.sync_data())
            }
            other => other.map_err(io::Error::from),
        }
        .map_err(|error| at("reserve room in", &slot.path, &error))?;
        slot.check()?;
        Ok(slot)
    }

    /// Whether a claim can still be written, and a result after it. To be asked before each question to the backend
    /// for which this slot is kept; reads and writes nothing. An error: drop the slot, and claim nothing until
    /// [`super::Spool::reserve`] gives a new one.
    pub fn check(&self) -> io::Result<()> {
        let folders = &self.inner.folders;
        let own = |found: fs::Metadata| self.file.metadata().is_ok_and(|own| own.ino() == found.ino());
        if !fs::symlink_metadata(&self.path).is_ok_and(own) {
            return Err(at("find", &self.path, &io::ErrorKind::NotFound.into()));
        }
        for place in [Place::Claimed, Place::Results, Place::Unfinished] {
            let folder = folders.folder(place);
            // For root this tells only a read-only file system, which is what stops root.
            access(&folder, AccessFlags::W_OK | AccessFlags::X_OK)
                .map_err(|error| at("write to", &folder, &error.into()))?;
        }
        let folder = folders.folder(Place::Results);
        // Some network file systems count no blocks at all.
        match statvfs(&folder) {
            Ok(disk) if disk.blocks() > 0 => {
                let free = disk.blocks_available().saturating_mul(disk.fragment_size());
                let enough = free >= ROOM.unsigned_abs();
                enough.then_some(()).ok_or_else(|| at("write a result to", &folder, &Errno::ENOSPC.into()))
            }
            _ => Ok(()),
        }
    }

    /// Writes down what the backend answered, `body`; from the return on nothing but its disk can make this task be
    /// lost. The first start is counted with it, for a task that is claimed is begun.
    ///
    /// On an error the slot comes back: the claim exists only in the caller's memory then. Try again, or answer it
    /// at once.
    pub fn claim(mut self, id: &TaskId, body: &[u8]) -> Result<Claimed, (Self, io::Error)> {
        let claimed_at = SystemTime::now();
        let text = format::write(&ClaimFile::new(id.raw(), &stamp::show(claimed_at), 1, body));
        let folders = &self.inner.folders;
        // The slot may have been removed, or its disk be damaged: a claim in hand gets a second way.
        let written = write_into(&mut self.file, &text)
            .map_err(|error| at("write", &self.path, &error))
            .and_then(|()| folders.put(&self.path, Place::Claimed, &self.name))
            .or_else(|first| folders.write(Place::Claimed, &self.name, &text).map(drop).map_err(|_| first));
        if let Err(error) = written {
            return Err((self, error));
        }
        let (inner, name) = (self.inner.clone(), self.name.clone());
        Ok(Claimed { inner, name, id: id.clone(), body: body.to_vec(), claimed_at, starts: 1, counted: true })
    }
}

/// Overwrites from the start, lets the rest of the reserved room go, and makes it last.
fn write_into(file: &mut File, text: &[u8]) -> io::Result<()> {
    file.rewind()?;
    file.write_all(text)?;
    file.set_len(text.len() as u64)?;
    file.sync_data()
}

impl Drop for Slot {
    fn drop(&mut self) {
        // After a claim there is none by this name any more.
        let _ = fs::remove_file(&self.path);
    }
}

/// A task that was taken and is not finished. Dropping it leaves it to the next start.
#[expect(clippy::struct_field_names, reason = "the field is named as in the file")]
#[derive(Debug)]
pub struct Claimed {
    pub(super) inner: Arc<Inner>,
    pub(super) name: String,
    pub(super) id: TaskId,
    pub(super) body: Vec<u8>,
    pub(super) claimed_at: SystemTime,
    pub(super) starts: u32,
    /// Whether `starts` counts the run to come already.
    pub(super) counted: bool,
}

impl Claimed {
    /// The name of its file, without the ending: for logs.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The task's id.
    pub fn id(&self) -> &TaskId {
        &self.id
    }

    /// What the backend answered, as it came; white space around it may be gone.
    pub fn task_body(&self) -> &[u8] {
        &self.body
    }

    /// When it was claimed, by the clock on the wall.
    pub fn claimed_at(&self) -> SystemTime {
        self.claimed_at
    }

    /// Runs of it that were begun. For a found one: how often the runner died on it ([`super::MOST_STARTS`]).
    pub fn starts(&self) -> u32 {
        self.starts
    }

    /// Whether it was claimed in this run of the runner.
    pub fn is_fresh(&self) -> bool {
        self.counted
    }

    /// How often the runner has died on it; to be asked before [`Self::begin`].
    pub fn deaths(&self) -> u32 {
        if self.counted { 0 } else { self.starts }
    }

    /// Counts a start, to last before anything of the task runs. Says which start this is, from 1.
    pub fn begin(&mut self) -> io::Result<u32> {
        if !std::mem::take(&mut self.counted) {
            self.count(self.starts.saturating_add(1))?;
        }
        Ok(self.starts)
    }

    /// Leaves it to the next start of the runner without holding this one against it: for a planned stop.
    pub fn put_back(mut self) -> io::Result<()> {
        self.count(self.starts.saturating_sub(1))
    }

    fn count(&mut self, starts: u32) -> io::Result<()> {
        let claimed_at = stamp::show(self.claimed_at);
        let text = format::write(&ClaimFile::new(self.id.raw(), &claimed_at, starts, &self.body));
        self.inner.folders.write(Place::Claimed, &self.name, &text)?;
        self.starts = starts;
        Ok(())
    }

    /// Writes down its result, `body`, a JSON object that is kept byte for byte, and then forgets the claim. From the
    /// return on the result is there to stay.
    ///
    /// On an error (a full disk) the claim comes back, for another try later: nothing is lost meanwhile.
    pub fn finish(self, body: &[u8]) -> Result<Finished, (Self, io::Error)> {
        let finished_at = SystemTime::now();
        // Held before it is there, or a look at the folder would find it and have it twice.
        let Some(finished) = Finished::held(&self.inner, &self.name, self.id.clone(), self.claimed_at) else {
            return Err((self, io::Error::other("a result of the same name is just being delivered")));
        };
        let written = format::body(body).and_then(|result| {
            let (claimed_at, finished_at) = (stamp::show(self.claimed_at), stamp::show(finished_at));
            let text = format::write(&ResultFile {
                id: self.id.raw(),
                claimed_at: claimed_at.into(),
                finished_at: finished_at.into(),
                refused: None,
                result,
            });
            self.inner.folders.write(Place::Results, &self.name, &text)
        });
        if let Err(error) = written {
            return Err((self, error));
        }
        // Not synced: the result wins over a claim that comes back, and a claim that outlives its delivered result
        // in a power cut is answered once more. If it fails, the next start removes it.
        if let Err(error) = remove(&self.inner.folders.file(Place::Claimed, &self.name)) {
            tracing::warn!(name: "claim_not_removed", %error, "a finished claim stays in the spool until the next start");
        }
        Ok(finished)
    }
}
