//! Reads files that people name: to their end, but neither for ever nor into all of the memory. Pipes are taken, for
//! that is how a shell hands a password over (`<(…)`, `/dev/stdin`).

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// How long who writes into a pipe may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The text of the file at `path`, of at most `most` bytes, and what the file system says of it.
pub(super) fn read(path: &Path, most: usize) -> io::Result<(String, Metadata)> {
    // A pipe without a writer would not even open otherwise.
    let mut file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    let meta = file.metadata()?;
    let end = Instant::now() + PATIENCE;
    let (mut bytes, mut buffer) = (Vec::new(), [0; 8 << 10]);
    loop {
        match file.read(&mut buffer) {
            // So ends a file, and so begins a pipe to which nobody writes yet.
            Ok(0) if meta.file_type().is_fifo() && bytes.is_empty() => {
                if !has_more(&file, end)? {
                    break;
                }
            }
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => drop(has_more(&file, end)?),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if bytes.len() > most {
            return Err(io::Error::other(format!("it is longer than {} KiB", most >> 10)));
        }
    }
    let text =
        String::from_utf8(bytes).map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is no UTF-8"))?;
    Ok((text, meta))
}

/// Waits until there is something to read; false: who wrote has gone.
fn has_more(file: &File, end: Instant) -> io::Result<bool> {
    let left = end.saturating_duration_since(Instant::now());
    let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
    let mut asked = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
    match poll(&mut asked, timeout) {
        Ok(0) => {
            let says = format!("nobody has written to the end of it within {} s", PATIENCE.as_secs());
            Err(io::Error::new(ErrorKind::TimedOut, says))
        }
        Ok(_) => Ok(asked[0].revents().is_some_and(|told| told.contains(PollFlags::POLLIN))),
        Err(nix::errno::Errno::EINTR) => Ok(true),
        Err(error) => Err(error.into()),
    }
}
