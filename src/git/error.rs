//! Failures of git requests: a kind, which determines the cause, and one sentence.
//!
//! libgit2 distinguishes many failures only by their message. All matching of its messages is in this file.

use git2::{ErrorClass, ErrorCode};
use serde::{Deserialize, Serialize};

use super::url::RepositoryUrl;
use report::{Cause, Fault, Progress};

/// Kind of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// There is no repository at the URL.
    MissingRepository,
    /// The repository has no such branch, tag or commit.
    MissingBranch,
    /// The repository has no commit at all.
    EmptyRepository,
    /// The server refused the login, or requires one.
    LoginRefused,
    /// `known_hosts` does not contain the ssh server's key.
    HostKey,
    /// The TLS certificate is not trusted.
    Certificate,
    /// More bytes, files or submodules than the limits allow.
    TooLarge,
    /// A submodule cannot be fetched, or its entry in `.gitmodules` is not allowed.
    BadSubmodule,
    /// This runner does not allow the URL.
    NotAllowed,
    /// The repository's content is broken or hostile.
    Damaged,
    /// The server cannot be reached or stopped responding; a retry may succeed.
    Network,
    /// The disk of this machine is full or fails; a retry may succeed.
    Disk,
    /// Another failure on this machine.
    Other,
}

impl Kind {
    /// The cause that a report states for this kind.
    pub fn cause(self) -> Cause {
        match self {
            Self::MissingRepository
            | Self::MissingBranch
            | Self::EmptyRepository
            | Self::LoginRefused
            | Self::NotAllowed => Cause::Task,
            Self::BadSubmodule | Self::Damaged => Cause::Program,
            Self::TooLarge => Cause::Limit,
            Self::HostKey | Self::Certificate | Self::Network | Self::Disk | Self::Other => {
                Cause::Infrastructure
            }
        }
    }
}

/// A failed request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Kind of the failure.
    pub kind: Kind,
    /// One sentence without secrets: the operation, its object, the reason, and the remedy if there is one.
    pub message: String,
}

impl Failure {
    /// Creates a failure of `kind`; removes control characters from the message.
    pub fn new(kind: Kind, message: impl AsRef<str>) -> Self {
        Self { kind, message: tidy(message.as_ref()) }
    }

    /// The fault for a report.
    pub fn fault(&self, progress: Progress) -> Fault {
        Fault::new(progress, self.kind.cause(), self.message.clone())
    }

    /// A failure of the operating system during the operation `doing`.
    pub(super) fn io(doing: &str, error: &std::io::Error) -> Self {
        let kind = match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Kind::Disk,
            _ => Kind::Other,
        };
        Self::new(kind, format!("{doing}: {error}"))
    }

    /// A failure of libgit2 on local data during the operation `doing`: of the content, unless the system failed.
    pub(super) fn content(url: &RepositoryUrl, doing: &str, error: &git2::Error) -> Self {
        let kind = match local_kind(error) {
            Some(kind) => kind,
            None if error.class() == ErrorClass::Os => Kind::Other,
            None => Kind::Damaged,
        };
        Self::new(kind, format!("cannot {doing} {url}: {}", url.scrub(error.message())))
    }

    /// A failure of libgit2 during communication with the server. `login_offered`: at least one login was sent.
    pub(super) fn remote(url: &RepositoryUrl, error: &git2::Error, login_offered: bool) -> Self {
        let kind = remote_kind(error);
        let reason = url.scrub(error.message());
        let message = match kind {
            Kind::MissingRepository => format!("there is no repository at {url}, or it is private"),
            Kind::LoginRefused if login_offered => {
                format!(
                    "the server refused the login for {url}: it is wrong, or it has no access to this repository"
                )
            }
            Kind::LoginRefused => format!(
                "{url} requires a login: it does not exist or is private (a private one needs a login in its URL or a key on the runner)"
            ),
            Kind::HostKey => format!(
                "the runner's ~/.ssh/known_hosts has no or another ssh host key of {} \
                 (compare the keys, then add it: ssh-keyscan {} >> ~/.ssh/known_hosts)",
                url.host(),
                url.host()
                    .rsplit_once(':')
                    .map_or(url.host().to_owned(), |(host, port)| format!("-p {port} {host}")),
            ),
            Kind::Certificate => format!(
                "the TLS certificate of {} is not trusted here (install its authority on the runner, or name it in SSL_CERT_FILE): {reason}",
                url.host()
            ),
            Kind::TooLarge => format!("the repository {url} needs more memory than its limit to unpack"),
            _ => format!("cannot fetch {url}: {reason}"),
        };
        Self::new(kind, message)
    }
}

/// Kind of a failure during communication with the server.
fn remote_kind(error: &git2::Error) -> Kind {
    let message = error.message().to_ascii_lowercase();
    let any = |parts: &[&str]| parts.iter().any(|part| message.contains(part));
    if let Some(kind) = local_kind(error) {
        return kind;
    }
    match (error.code(), error.class()) {
        (ErrorCode::Certificate, ErrorClass::Ssh) => return Kind::HostKey,
        (ErrorCode::Certificate, _) => return Kind::Certificate,
        (ErrorCode::Auth, _) => return Kind::LoginRefused,
        _ => {}
    }
    if any(&["status code: 401", "status code: 403"]) {
        return Kind::LoginRefused;
    }
    let missing = [
        "status code: 404",
        "status code: 410",
        "repository not found",
        "repository not exported",
        "does not appear to be a git repository",
        "could not find repository",
        "failed to resolve path",
        "project you were looking for could not be found",
        "no such repository",
    ];
    match error.class() {
        _ if any(&missing) => Kind::MissingRepository,
        ErrorClass::Indexer
        | ErrorClass::Odb
        | ErrorClass::Zlib
        | ErrorClass::Object
        | ErrorClass::Sha1
        | ErrorClass::Tree => Kind::Damaged,
        _ => Kind::Network,
    }
}

/// Kind of a failure that only this machine can cause; `None` for all others.
fn local_kind(error: &git2::Error) -> Option<Kind> {
    let message = error.message();
    if ["No space left on device", "Disk quota exceeded", "Input/output error", "Read-only file system"]
        .iter()
        .any(|part| message.contains(part))
    {
        return Some(Kind::Disk);
    }
    (error.class() == ErrorClass::NoMemory || message.contains("out of memory")).then_some(Kind::TooLarge)
}

/// Makes one line of at most 600 characters.
fn tidy(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = line.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(600) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None => line,
    }
}

/// Quotes a foreign name for a message: at most 60 characters, without control characters.
pub(super) fn quoted(name: &str) -> String {
    let mut short: String =
        name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(60).collect();
    if name.chars().count() > 60 {
        short.push('…');
    }
    format!("'{short}'")
}

/// Formats a size in bytes for a message.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        n if n >= 1 << 20 && n % (1 << 20) == 0 => format!("{} MiB", n >> 20),
        n if n >= 1 << 10 && n % (1 << 10) == 0 => format!("{} KiB", n >> 10),
        n => format!("{n} bytes"),
    }
}
