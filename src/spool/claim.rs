//! A slot, the claim that is written into it, and the step from a claim to its result.

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
use super::inner::Inner;
use super::timestamp;
use crate::task::TaskId;

/// Bytes reserved for a claim: the largest response of the backend (4 MiB) and the fields around it.
const RESERVED_BYTES: i64 = (4 << 20) + (64 << 10);

/// Number of starts after which a claim is answered with an error instead of run again: each time, the runner died.
pub const MAX_STARTS: u32 = 2;

/// Disk space for one claim, reserved before the backend is asked for a task. If there is no task, the caller keeps it
/// for the next request. Dropping it frees the space.
#[derive(Debug)]
pub struct Slot {
    inner: Arc<Inner>,
    name: String,
    path: PathBuf,
    file: File,
}

impl Slot {
    pub(super) fn reserve(inner: &Arc<Inner>) -> io::Result<Self> {
        let name = timestamp::name(SystemTime::now());
        let path = inner.folders.folder(Place::Unfinished).join(format!("{name}.claim"));
        let file = inner.folders.create(&path)?;
        // From here on, an error drops the slot, which removes the file.
        let slot = Self { inner: inner.clone(), name, path, file };
        match fallocate(&slot.file, FallocateFlags::empty(), 0, RESERVED_BYTES) {
            // If the file system cannot reserve space, zeros are written.
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => {
                io::copy(&mut io::Read::take(io::repeat(0), RESERVED_BYTES.unsigned_abs()), &mut &slot.file)
                    .and_then(|_| slot.file.sync_data())
            }
            other => other.map_err(io::Error::from),
        }
        .map_err(|error| at("reserve space in", &slot.path, &error))?;
        slot.check()?;
        Ok(slot)
    }

    /// Checks that a claim and its result can still be written. The caller does this before each request for a task.
    /// Reads and writes no file.
    ///
    /// # Errors
    ///
    /// The slot's file is missing, a folder is not writable, or the disk is full. The caller drops the slot and claims no
    /// task before [`super::Spool::reserve`] succeeds.
    pub fn check(&self) -> io::Result<()> {
        let folders = &self.inner.folders;
        let same_file =
            |found: fs::Metadata| self.file.metadata().is_ok_and(|file| file.ino() == found.ino());
        if !fs::symlink_metadata(&self.path).is_ok_and(same_file) {
            return Err(at("find", &self.path, &io::ErrorKind::NotFound.into()));
        }
        for place in [Place::Claimed, Place::Results, Place::Unfinished] {
            let folder = folders.folder(place);
            // For root this fails only on a read-only file system.
            access(&folder, AccessFlags::W_OK | AccessFlags::X_OK)
                .map_err(|error| at("write to", &folder, &error.into()))?;
        }
        let folder = folders.folder(Place::Results);
        // Some network file systems report 0 blocks.
        match statvfs(&folder) {
            Ok(disk) if disk.blocks() > 0 => {
                let free = disk.blocks_available().saturating_mul(disk.fragment_size());
                let enough = free >= RESERVED_BYTES.unsigned_abs();
                enough.then_some(()).ok_or_else(|| at("write a result to", &folder, &Errno::ENOSPC.into()))
            }
            _ => Ok(()),
        }
    }

    /// Writes the claim, with `body` as the backend sent it, durably to disk. It counts the first start, because the
    /// caller starts the task next.
    ///
    /// # Errors
    ///
    /// The claim cannot be written and exists only in the caller's memory. The caller tries again with the returned slot,
    /// or answers the task at once.
    pub fn claim(mut self, id: &TaskId, body: &[u8]) -> Result<Claimed, (Self, io::Error)> {
        let claimed_at = SystemTime::now();
        let text = format::write(&ClaimFile::new(id.raw(), &timestamp::show(claimed_at), 1, body));
        let folders = &self.inner.folders;
        // The slot's file may have been removed or damaged: the claim is then written to a new file.
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

/// Overwrites the file from its start, frees the rest of the reserved space, and fsyncs it.
fn write_into(file: &mut File, text: &[u8]) -> io::Result<()> {
    file.rewind()?;
    file.write_all(text)?;
    file.set_len(text.len() as u64)?;
    file.sync_data()
}

impl Drop for Slot {
    fn drop(&mut self) {
        // After a claim, there is no file with this name.
        let _ = fs::remove_file(&self.path);
    }
}

/// A claimed task without a result. If it is dropped, the next start of the runner finds it.
#[expect(clippy::struct_field_names, reason = "the field is named as in the file")]
#[derive(Debug)]
pub struct Claimed {
    pub(super) inner: Arc<Inner>,
    pub(super) name: String,
    pub(super) id: TaskId,
    pub(super) body: Vec<u8>,
    pub(super) claimed_at: SystemTime,
    pub(super) starts: u32,
    /// Whether `starts` already counts the next attempt.
    pub(super) counted: bool,
}

impl Claimed {
    /// Name of its file without extension, for logs.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The task's id.
    pub fn id(&self) -> &TaskId {
        &self.id
    }

    /// The backend's response, byte for byte except for surrounding white space.
    pub fn task_body(&self) -> &[u8] {
        &self.body
    }

    /// Time of the claim, by the system clock.
    pub fn claimed_at(&self) -> SystemTime {
        self.claimed_at
    }

    /// Number of started attempts. For a claim of an earlier run: how often the runner died during it ([`MAX_STARTS`]).
    pub fn starts(&self) -> u32 {
        self.starts
    }

    /// Whether this process claimed it.
    pub fn is_fresh(&self) -> bool {
        self.counted
    }

    /// How often the runner died during this task. Valid before [`Self::begin`].
    pub fn deaths(&self) -> u32 {
        if self.counted { 0 } else { self.starts }
    }

    /// Durably counts a start before the task runs. Returns the number of this start, from 1.
    ///
    /// # Errors
    ///
    /// The claim's file cannot be written.
    pub fn begin(&mut self) -> io::Result<u32> {
        if !std::mem::take(&mut self.counted) {
            self.count(self.starts.saturating_add(1))?;
        }
        Ok(self.starts)
    }

    /// Leaves the task to the next start of the runner and does not count this start: for a planned stop.
    ///
    /// # Errors
    ///
    /// The claim's file cannot be written.
    pub fn put_back(mut self) -> io::Result<()> {
        self.count(self.starts.saturating_sub(1))
    }

    fn count(&mut self, starts: u32) -> io::Result<()> {
        let claimed_at = timestamp::show(self.claimed_at);
        let text = format::write(&ClaimFile::new(self.id.raw(), &claimed_at, starts, &self.body));
        self.inner.folders.write(Place::Claimed, &self.name, &text)?;
        self.starts = starts;
        Ok(())
    }

    /// Writes the result durably to disk, with `body`, a JSON object, byte for byte, and then removes the claim.
    ///
    /// # Errors
    ///
    /// `InvalidData` if `body` is not a JSON object; otherwise the result cannot be written, for example because the disk
    /// is full. The claim is returned for another try, and stays on disk.
    pub fn finish(self, body: &[u8]) -> Result<Finished, (Self, io::Error)> {
        let finished_at = SystemTime::now();
        // Held before the file exists; otherwise `new_results` could return it a second time.
        let Some(finished) = Finished::held(&self.inner, &self.name, self.id.clone(), self.claimed_at) else {
            return Err((self, io::Error::other("a result with the same name is being delivered")));
        };
        let written = format::body(body).and_then(|result| {
            let (claimed_at, finished_at) = (timestamp::show(self.claimed_at), timestamp::show(finished_at));
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
        // No fsync of the removal: if a power cut restores the claim, its result has precedence; if that is delivered
        // already, the task is answered again. If the removal fails, the next start repeats it.
        if let Err(error) = remove(&self.inner.folders.file(Place::Claimed, &self.name)) {
            tracing::warn!(name: "claim_not_removed", %error, "cannot remove a finished claim; the next start will");
        }
        Ok(finished)
    }
}
