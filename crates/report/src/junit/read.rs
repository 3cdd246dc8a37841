//! Reads a report from a file or from bytes.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use quick_xml::Reader;
use quick_xml::events::Event;

use super::decode;
use super::document::{Document, Ending, Refusal};
use super::error::JunitError;
use super::filter::Bounded;
use crate::{Limits, Report};

/// Reads the report file at `path`. The task that left it may be hostile: links are not followed, only a regular file is
/// read (where `owner` is given, only one of that user), and opening never blocks.
///
/// # Errors
/// When the file is missing, unreadable, not regular, of another user, too large, or not a `JUnit` report. A report that
/// breaks off is not an error: it gives the cases before that place, with a fault.
pub fn read_file(path: &Path, owner: Option<u32>, limits: &Limits) -> Result<Report, JunitError> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = File::options().read(true).custom_flags(flags.bits()).open(path).map_err(open_error)?;
    let metadata = file.metadata().map_err(JunitError::Open)?;
    let kind = metadata.file_type();
    if !kind.is_file() {
        return Err(JunitError::NotAFile(match () {
            () if kind.is_dir() => "directory",
            () if kind.is_fifo() => "FIFO",
            () if kind.is_socket() => "socket",
            () => "device",
        }));
    }
    if owner.is_some_and(|owner| owner != metadata.uid()) {
        return Err(JunitError::Foreign);
    }
    let (size, limit) = (metadata.len(), limits.max_report);
    if size > limit {
        return Err(JunitError::TooLarge { size, limit });
    }
    // The file may still grow while it is read.
    read(file.take(limit), limits)
}

fn open_error(error: io::Error) -> JunitError {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT) => JunitError::Missing,
        Some(Errno::ELOOP) => JunitError::NotAFile("symbolic link"),
        Some(Errno::ENXIO) => JunitError::NotAFile("socket"),
        _ => JunitError::Open(error),
    }
}

/// Reads a report from bytes. Applies the limits of cases and descriptions, keeps at most twice the limit of the body
/// in memory, and cuts each text of more than 64 KiB.
///
/// # Errors
/// When reading `input` fails, or its bytes are not a `JUnit` report.
pub fn read(input: impl Read, limits: &Limits) -> Result<Report, JunitError> {
    let mut reader = Reader::from_reader(Bounded::new(decode::utf8(input)?));
    reader.config_mut().allow_dangling_amp = true;
    let mut document = Document::new(limits);
    let mut has_content = false;
    let mut event = Vec::new();
    let ending = loop {
        event.clear();
        let read = reader.read_event_into(&mut event);
        has_content |= !matches!(read, Ok(Event::Eof | Event::Text(_)));
        let taken = match read {
            Ok(Event::Eof) if document.is_whole() => break Ending::Whole,
            Ok(ref event) if document.is_whole() && !is_idle(event) => {
                // For example two runs wrote into one file, or a short report overwrote the start of a long one.
                break Ending::Malformed("something follows its end".to_owned());
            }
            Ok(Event::Start(tag)) => document.start(&tag),
            Ok(Event::Empty(tag)) => document.start(&tag).map(|()| document.end()),
            Ok(Event::End(_)) => {
                document.end();
                Ok(())
            }
            Ok(Event::Text(text)) => document.text(&text.into_inner()),
            Ok(Event::CData(text)) => document.text(&text.into_inner()),
            Ok(Event::GeneralRef(name)) => document.reference(&name.into_inner()),
            Ok(Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_)) => Ok(()),
            Ok(Event::Eof) => break Ending::Cut,
            Err(error) => break syntax_error(error, reader.get_ref())?,
        };
        match taken {
            Ok(()) => {}
            Err(Refusal::Malformed(why)) => break Ending::Malformed(why),
            Err(Refusal::NoReport(error)) => return Err(error),
        }
    };
    if !has_content {
        return Err(JunitError::Empty);
    }
    document.finish(ending, reader.get_ref().position())
}

/// Whether an event may follow the root element: white space, comments and instructions.
fn is_idle(event: &Event<'_>) -> bool {
    match event {
        Event::Text(text) => text.as_bytes().iter().all(u8::is_ascii_whitespace),
        Event::Comment(_) | Event::PI(_) => true,
        _ => false,
    }
}

/// The ending of a document with a syntax error. At the end of the bytes every syntax error means that they are cut off.
fn syntax_error<R: Read>(error: quick_xml::Error, input: &Bounded<R>) -> Result<Ending, JunitError> {
    match error {
        quick_xml::Error::Io(error) if error.kind() != io::ErrorKind::InvalidData => {
            Err(JunitError::Read(io::Error::new(error.kind(), error.to_string())))
        }
        quick_xml::Error::Io(error) => Ok(Ending::Malformed(error.to_string())),
        quick_xml::Error::IllFormed(error) => Ok(Ending::Malformed(error.to_string())),
        _ if input.at_end() => Ok(Ending::Cut),
        error => Ok(Ending::Malformed(error.to_string())),
    }
}
