//! What went wrong with a repository, in one sentence, and who is to blame for it.
//!
//! libgit2 tells most of it by message only: the reading of those messages is all here.

use git2::{ErrorClass, ErrorCode};
use serde::{Deserialize, Serialize};

use crate::git::url::RepositoryUrl;
use report::{Cause, Fault, Progress};

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// There is nothing at the URL.
    MissingRepository,
    /// The repository has no such branch, tag or commit.
    MissingBranch,
    /// The repository has no commit at all.
    EmptyRepository,
    /// The server wants another login than the one that it got.
    LoginRefused,
    /// The ssh server's key is not in `known_hosts`.
    HostKey,
    /// The TLS certificate is not trusted.
    Certificate,
    /// More bytes, files or submodules than the limits allow.
    TooLarge,
    /// A submodule cannot be had, or tries to do what it must not.
    BadSubmodule,
    /// A transport or a URL that this runner does not take.
    NotAllowed,
    /// The repository's content is broken or hostile.
    Damaged,
    /// The server could not be reached, or fell silent: worth another try.
    Network,
    /// This machine's disk is full or fails: worth another try.
    Disk,
    /// Anything else, on this machine.
    Other,
}

impl Kind {
    /// Who is to blame.
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

    /// Whether the same request may go better a little later.
    pub fn is_worth_a_retry(self) -> bool {
        matches!(self, Self::Network | Self::Disk | Self::Other)
    }
}

/// A failed request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What kind of failure it is.
    pub kind: Kind,
    /// What was being done, to what, what happened and what to do about it; without secrets.
    pub message: String,
}

impl Failure {
    /// A failure of `kind`; control characters leave the message.
    pub fn new(kind: Kind, message: impl AsRef<str>) -> Self {
        Self { kind, message: tidy(message.as_ref()) }
    }

    /// The failure as a part of a report.
    pub fn fault(&self, progress: Progress) -> Fault {
        Fault::new(progress, self.kind.cause(), self.message.clone())
    }

    /// Something on this machine failed: `doing` what, and why.
    pub(super) fn io(doing: &str, error: &std::io::Error) -> Self {
        let kind = match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Kind::Disk,
            _ => Kind::Other,
        };
        Self::new(kind, format!("{doing}: {error}"))
    }

    /// libgit2 failed on what it has in hand, with no network involved: the content is at fault unless the machine is.
    pub(super) fn content(url: &RepositoryUrl, doing: &str, error: &git2::Error) -> Self {
        let kind = match local_kind(error) {
            Some(kind) => kind,
            None if error.class() == ErrorClass::Os => Kind::Other,
            None => Kind::Damaged,
        };
        Self::new(kind, format!("cannot {doing} {url}: {}", url.scrub(error.message())))
    }

    /// libgit2 failed while it spoke with the server. `login_offered`: some login was tried.
    pub(super) fn remote(url: &RepositoryUrl, error: &git2::Error, login_offered: bool) -> Self {
        let kind = remote_kind(error);
        let said = url.scrub(error.message());
        let message = match kind {
            Kind::MissingRepository => format!("there is no repository at {url}, or it is private"),
            Kind::LoginRefused if login_offered => {
                format!("the login for {url} was refused: it is wrong, or it does not open this repository")
            }
            Kind::LoginRefused => format!(
                "{url} asks for a login: it does not exist or is private (a private one needs a login in its URL or a key on the runner)"
            ),
            Kind::HostKey => format!(
                "the ssh host key of {} is not the one in the runner's ~/.ssh/known_hosts, or is not there \
                 (compare it with the server's, then add it: ssh-keyscan {} >> ~/.ssh/known_hosts)",
                url.host(),
                url.host()
                    .rsplit_once(':')
                    .map_or(url.host().to_owned(), |(host, port)| format!("-p {port} {host}")),
            ),
            Kind::Certificate => format!(
                "the TLS certificate of {} is not trusted here (install its authority on the runner, or name it in SSL_CERT_FILE): {said}",
                url.host()
            ),
            Kind::TooLarge => format!("the repository {url} needs more memory to unpack than it may have"),
            _ => format!("cannot fetch {url}: {said}"),
        };
        Self::new(kind, message)
    }
}

fn remote_kind(error: &git2::Error) -> Kind {
    let said = error.message().to_ascii_lowercase();
    let any = |parts: &[&str]| parts.iter().any(|part| said.contains(part));
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

/// What this machine alone can have caused.
fn local_kind(error: &git2::Error) -> Option<Kind> {
    let said = error.message();
    if ["No space left on device", "Disk quota exceeded", "Input/output error", "Read-only file system"]
        .iter()
        .any(|part| said.contains(part))
    {
        return Some(Kind::Disk);
    }
    (error.class() == ErrorClass::NoMemory || said.contains("out of memory")).then_some(Kind::TooLarge)
}

/// One line of at most 600 characters.
fn tidy(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = line.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(600) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None => line,
    }
}

/// A name that someone else chose, for a sentence: in quotes, short, without control characters.
pub(super) fn quoted(name: &str) -> String {
    let mut short: String =
        name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(60).collect();
    if name.chars().count() > 60 {
        short.push('…');
    }
    format!("'{short}'")
}

/// A size for a sentence.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        n if n >= 1 << 20 && n % (1 << 20) == 0 => format!("{} MiB", n >> 20),
        n if n >= 1 << 10 && n % (1 << 10) == 0 => format!("{} KiB", n >> 10),
        n => format!("{n} bytes"),
    }
}
