//! Reads a file that a person names, within bounds of time and size. Pipes are allowed, because a shell passes a password
//! through one (`<(…)`, `/dev/stdin`).

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// How long the writer of a pipe may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Reads the file at `path`; returns its text and metadata.
///
/// # Errors
/// The file cannot be read, is larger than `max` bytes, is not UTF-8, or is a pipe that is not written within 5 s.
pub(super) fn read(path: &Path, max: u64) -> io::Result<(String, Metadata)> {
    // Without `O_NONBLOCK`, opening a pipe that has no writer would block.
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    let meta = file.metadata()?;
    let is_pipe = meta.file_type().is_fifo();
    let deadline = Instant::now() + TIMEOUT;
    let mut bytes = Vec::new();
    let mut bounded = (&file).take(max + 1);
    loop {
        match bounded.read_to_end(&mut bytes) {
            // An empty pipe may have no writer yet.
            Ok(_) if is_pipe && bytes.is_empty() => {
                if !wait_readable(&file, deadline)? {
                    break;
                }
            }
            Ok(_) => break,
            // What was read before stays in `bytes`.
            Err(error) if error.kind() == ErrorKind::WouldBlock => drop(wait_readable(&file, deadline)?),
            Err(error) => return Err(error),
        }
    }
    if bounded.limit() == 0 {
        return Err(io::Error::other(format!("it is longer than {} KiB", max >> 10)));
    }
    let text =
        String::from_utf8(bytes).map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is not UTF-8"))?;
    Ok((text, meta))
}

/// Waits until the file has something to read. Returns false if the writer has closed the pipe.
fn wait_readable(file: &File, deadline: Instant) -> io::Result<bool> {
    let left = deadline.saturating_duration_since(Instant::now());
    let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
    let mut polled = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
    match poll(&mut polled, timeout) {
        Ok(0) => {
            let message = format!("the writer has not closed it within {} s", TIMEOUT.as_secs());
            Err(io::Error::new(ErrorKind::TimedOut, message))
        }
        Ok(_) => Ok(polled[0].revents().is_some_and(|events| events.contains(PollFlags::POLLIN))),
        Err(nix::errno::Errno::EINTR) => Ok(true),
        Err(error) => Err(error.into()),
    }
}
