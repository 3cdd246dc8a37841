//! The protocol between the runner and its git child: one JSON request on stdin, one JSON answer on stdout.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::error::Failure;
use super::url::RepositoryUrl;

/// The first argument of the runner's binary that starts the git child.
pub const MODE: &str = "__git";

/// The child's environment variable that names a file of certificates.
///
/// The child reads that file only before a connection that may use TLS. OpenSSL reads `SSL_CERT_FILE` at its
/// initialization in any case.
pub const CERTIFICATES: &str = "OSTEST_CERTIFICATES";

/// Limits of one request; submodules count into the same sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes received, and separately bytes of the work tree.
    pub bytes: u64,
    /// Files and folders in the work tree.
    pub files: u64,
    /// Submodules in total.
    pub submodules: u64,
    /// Levels of submodules within submodules.
    pub depth: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 512 << 20, files: 100_000, submodules: 100, depth: 10 }
    }
}

/// Request to the git child.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Check out a student's repository.
    Checkout(Checkout),
    /// Update the mirror of the test suite and export one commit.
    Mirror(Mirror),
}

impl Request {
    /// The repository.
    pub fn url(&self) -> &RepositoryUrl {
        match self {
            Self::Checkout(checkout) => &checkout.url,
            Self::Mirror(mirror) => &mirror.url,
        }
    }

    /// The limits of the request.
    pub fn limits(&self) -> Limits {
        match self {
            Self::Checkout(checkout) => checkout.limits,
            Self::Mirror(mirror) => mirror.limits,
        }
    }
}

/// Writes the work tree of one branch, with its submodules, into a folder that is absent or empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkout {
    /// The repository.
    pub url: RepositoryUrl,
    /// The exact name of the branch; `None`: the default branch of the remote.
    pub branch: Option<String>,
    /// The folder of the work tree.
    pub into: PathBuf,
    /// Allows URLs of this machine, also for submodules.
    #[serde(default)]
    pub allow_local: bool,
    /// Limits on bytes, files and submodules.
    #[serde(default)]
    pub limits: Limits,
    /// The cache folder of this repository; `None`: fetch without a cache.
    #[serde(default)]
    pub cache: Option<PathBuf>,
}

/// Creates or updates a bare mirror, and exports the tree of one commit into a folder named after that commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mirror {
    /// The repository; a local one is allowed.
    pub url: RepositoryUrl,
    /// A branch, a tag or a commit; `None`: the default branch of the remote.
    pub reference: Option<String>,
    /// The bare mirror; the lock file `<mirror>.lock` beside it excludes other processes.
    pub mirror: PathBuf,
    /// The folder that contains one exported tree per commit.
    pub trees: PathBuf,
    /// Limits on bytes, files and submodules.
    #[serde(default)]
    pub limits: Limits,
}

/// Answer of the git child.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The work tree was written.
    CheckedOut(CheckedOut),
    /// The tree of the suite is available.
    Mirrored(Mirrored),
    /// The request failed.
    Failed(Failure),
}

/// A written work tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckedOut {
    /// The commit, in hexadecimal.
    pub commit: String,
    /// The branch; `None` if the remote's HEAD is detached.
    pub branch: Option<String>,
    /// Bytes of the work tree, submodules included.
    pub bytes: u64,
    /// Files and folders of the work tree, submodules included.
    pub files: u64,
    /// Number of submodules that were checked out.
    pub submodules: u64,
    /// Bytes received over the network.
    #[serde(default)]
    pub received: u64,
    /// Wall time in milliseconds.
    pub milliseconds: u64,
}

/// An exported tree of the suite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mirrored {
    /// The commit, in hexadecimal.
    pub commit: String,
    /// The folder with the complete tree, without `.git`; it is never written again.
    pub tree: PathBuf,
    /// Whether the remote answered this request.
    pub refreshed: bool,
    /// Whether this request created or changed the mirror or the tree.
    pub changed: bool,
    /// Why the commit may be out of date: the remote could not be reached.
    pub warning: Option<String>,
    /// Wall time in milliseconds.
    pub milliseconds: u64,
}
