//! I/O errors that keep their errno while context is added to their message.

use std::fmt::Display;
use std::io;

use nix::errno::Errno;

/// An error message with the errno that caused it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Described {
    message: String,
    errno: Option<Errno>,
}

/// Makes an I/O error of a message and the errno behind it.
pub(crate) fn described(message: String, errno: Option<Errno>) -> io::Error {
    let kind = errno.map_or(io::ErrorKind::Other, |errno| io::Error::from(errno).kind());
    io::Error::new(kind, Described { message, errno })
}

/// Prefixes the message of `error` with `context`, keeping its errno.
pub(crate) fn in_context(context: impl Display, error: &io::Error) -> io::Error {
    described(format!("{context}: {error}"), of(error))
}

/// Returns the errno behind `error`. Some libraries wrap the system's error and keep its kind only; of those kinds the ones
/// about full or read-only disks are translated back.
pub fn of(error: &io::Error) -> Option<Errno> {
    if let Some(number) = error.raw_os_error() {
        return Some(Errno::from_raw(number));
    }
    if let Some(described) = error.get_ref().and_then(|inner| inner.downcast_ref::<Described>()) {
        return described.errno;
    }
    match error.kind() {
        io::ErrorKind::StorageFull => Some(Errno::ENOSPC),
        io::ErrorKind::QuotaExceeded => Some(Errno::EDQUOT),
        io::ErrorKind::ReadOnlyFilesystem => Some(Errno::EROFS),
        io::ErrorKind::FileTooLarge => Some(Errno::EFBIG),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_keeps_the_errno() {
        let error = in_context("a folder", &in_context("below", &Errno::EMFILE.into()));
        assert_eq!(error.to_string(), "a folder: below: Too many open files (os error 24)");
        assert_eq!(of(&error), Some(Errno::EMFILE));
        assert_eq!(of(&io::Error::from(io::ErrorKind::StorageFull)), Some(Errno::ENOSPC));
        assert_eq!(of(&io::Error::other("Too many open files (os error 24)")), None);
    }
}
