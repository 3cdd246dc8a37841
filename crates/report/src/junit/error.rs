//! Why a file gives no report.

use std::io;

use crate::{Cause, Fault, Progress};

/// Why a file gives no report. The texts are for the person who waits for the result.
#[derive(Debug, thiserror::Error)]
pub enum JunitError {
    /// The file does not exist.
    #[error("there is no report file")]
    Missing,
    /// The path is something other than a regular file, named here.
    #[error("the report is a {0}, not a regular file")]
    NotAFile(&'static str),
    /// The file is larger than [`max_report`](crate::Limits::max_report).
    #[error("the report has {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Size of the file, in bytes.
        size: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The file belongs to another user than the suite's.
    #[error("the report is another user's file, not the suite's own")]
    Foreign,
    /// The file exists and cannot be opened.
    #[error("the report cannot be opened: {0}")]
    Open(#[source] io::Error),
    /// A read failed, as on a broken disk.
    #[error("the report cannot be read: {0}")]
    Read(#[from] io::Error),
    /// The file has no bytes or only white space.
    #[error("the report is empty")]
    Empty,
    /// The file has no XML element.
    #[error("the report is no XML: {what}")]
    NotXml {
        /// What the file has instead.
        what: String,
    },
    /// The file is XML with another root element.
    #[error("the report is no JUnit report: its root is `{root}`, not `testsuites` or `testsuite`")]
    NotJunit {
        /// Name of the root element.
        root: String,
    },
}

impl JunitError {
    /// Whether the file could not be read. Otherwise it was read and its bytes are not a report.
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

    /// The fault of a task whose report has this error.
    pub fn fault(&self) -> Fault {
        let cause = match self {
            Self::TooLarge { .. } => Cause::Limit,
            // Only a broken disk makes reading an open file fail; a task can cause all other errors.
            Self::Read(_) => Cause::Infrastructure,
            _ => Cause::Suite,
        };
        Fault::new(Progress::Report, cause, self.to_string())
    }
}
