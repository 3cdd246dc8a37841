//! Reads a `JUnit` report, of whatever tool, into a [`Report`]. Streaming and total: any bytes give a report or a
//! typed error, in bounded memory; what was read before a file breaks off is kept, with a fault that says so.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use quick_xml::Reader;
use quick_xml::events::Event;

use crate::{Cause, Fault, Limits, Progress, Report};

mod attributes;
mod case;
mod decode;
mod document;
mod filter;
mod kept;
mod skip;
mod suites;
mod values;

use document::{Document, Ending, Refusal};
use filter::Bounded;

/// Why there is no report. Each is one sentence for the person who waits for the result.
#[derive(Debug, thiserror::Error)]
pub enum JunitError {
    /// Nothing is there under this name.
    #[error("there is no report file")]
    Missing,
    /// Something is there, but no regular file.
    #[error("the report is a {0}, not a regular file")]
    NotAFile(&'static str),
    /// More bytes than [`Limits::max_report`].
    #[error("the report has {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Bytes of the file.
        size: u64,
        /// Bytes taken.
        limit: u64,
    },
    /// A file that somebody else than the suite made.
    #[error("the report is another user's file, not the suite's own")]
    Foreign,
    /// It is there and cannot be opened.
    #[error("the report cannot be opened: {0}")]
    Open(#[source] io::Error),
    /// Reading it failed half-way.
    #[error("the report cannot be read: {0}")]
    Read(#[from] io::Error),
    /// No bytes, or nothing but white space.
    #[error("the report is empty")]
    Empty,
    /// No element begins in it.
    #[error("the report is no XML: {what}")]
    NotXml {
        /// What it is instead.
        what: String,
    },
    /// XML, but of another kind.
    #[error("the report is no JUnit report: its root is `{root}`, not `testsuites` or `testsuite`")]
    NotJunit {
        /// The root element's name.
        root: String,
    },
}

impl JunitError {
    /// Whether the bytes could not be had at all; otherwise they were had and are no report.
    pub fn is_unreadable(&self) -> bool {
        match self {
            Self::Missing
            | Self::NotAFile(_)
            | Self::Foreign
            | Self::TooLarge { .. }
            | Self::Open(_)
            | Self::Read(_) => true,
            Self::Empty | Self::NotXml { .. } | Self::NotJunit { .. } => false,
        }
    }

    /// The fault to answer with.
    pub fn fault(&self) -> Fault {
        let cause = match self {
            Self::TooLarge { .. } => Cause::Limit,
            // A file that is there and fails to be read is the disk's doing; all else a task could have done.
            Self::Read(_) => Cause::Infrastructure,
            _ => Cause::Suite,
        };
        Fault::new(Progress::Report, cause, self.to_string())
    }
}

/// Reads the report file at `path`, which a task left and which may therefore be anything: links are not followed,
/// nothing but a regular file is read, only `owner`'s where one is given, and opening never blocks.
pub fn read_file(path: &Path, owner: Option<u32>, limits: &Limits) -> Result<Report, JunitError> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = File::options().read(true).custom_flags(flags.bits()).open(path).map_err(of_open)?;
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
    // It may still grow while it is read.
    read(file.take(limit), limits)
}

fn of_open(error: io::Error) -> JunitError {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT) => JunitError::Missing,
        Some(Errno::ELOOP) => JunitError::NotAFile("symbolic link"),
        Some(Errno::ENXIO) => JunitError::NotAFile("socket"),
        _ => JunitError::Open(error),
    }
}

/// Reads a report. Of `limits`, the descriptions' and the cases' hold here, and twice the body's for all that is
/// kept; one text of more than 64 KiB is cut in any case.
pub fn read(input: impl Read, limits: &Limits) -> Result<Report, JunitError> {
    let mut reader = Reader::from_reader(Bounded::new(decode::utf8(input)?));
    reader.config_mut().allow_dangling_amp = true;
    let mut document = Document::new(limits);
    let mut anything = false;
    let mut event = Vec::new();
    let ending = loop {
        event.clear();
        let read = reader.read_event_into(&mut event);
        anything |= !matches!(read, Ok(Event::Eof | Event::Text(_)));
        let taken = match read {
            Ok(Event::Eof) if document.is_whole() => break Ending::Whole,
            Ok(ref event) if document.is_whole() && !is_idle(event) => {
                // Two runs that wrote into one file, or a short report over a long one: it cannot be trusted.
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
            Err(error) => break of_syntax(error, reader.get_ref())?,
        };
        match taken {
            Ok(()) => {}
            Err(Refusal::Malformed(why)) => break Ending::Malformed(why),
            Err(Refusal::NoReport(error)) => return Err(error),
        }
    };
    if !anything {
        return Err(JunitError::Empty);
    }
    document.finish(ending, reader.get_ref().position())
}

/// Whether an event may stand behind the end of a document: white space, comments, instructions.
fn is_idle(event: &Event<'_>) -> bool {
    match event {
        Event::Text(text) => text.as_bytes().iter().all(u8::is_ascii_whitespace),
        Event::Comment(_) | Event::PI(_) => true,
        _ => false,
    }
}

/// What an error of the parser says of the document: at the end of the bytes every one of them means "cut off".
fn of_syntax<R: Read>(error: quick_xml::Error, input: &Bounded<R>) -> Result<Ending, JunitError> {
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

#[cfg(test)]
mod tests;
