//! Descriptors that a program inherits.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Seek, Write};
use std::os::fd::OwnedFd;
use std::process::Stdio;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// Makes the stdin of a program that reads `content`.
pub(super) fn stdin_of(content: &str) -> io::Result<Stdio> {
    if content.is_empty() { Ok(Stdio::null()) } else { memory_file(content.as_bytes()).map(Stdio::from) }
}

/// Makes a file in memory.
pub(super) fn memory_file(content: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create(c"ostest", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(content)?;
    file.rewind()?;
    Ok(file.into())
}

/// Makes the pipe on which a broker is told whom to trust. Writing never blocks, also if the broker is stopped.
pub(super) fn trust_pipe() -> io::Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((reader, writer))
}
