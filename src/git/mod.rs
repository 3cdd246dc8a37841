//! Everything that touches libgit2. It runs in a child of the runner, in one thread: one request in, one answer out.
//!
//! A hostile repository can make that child fail or hang, and the child is all that it can harm; a login is offered
//! once and never asked for. What a request leaves on disk holds no login.

mod auth;
mod cache;
mod checkout;
pub mod client;
mod error;
mod fetch;
mod measure;
mod mirror;
pub mod object_cache;
mod setup;
mod submodule;
#[cfg(test)]
mod tests;
pub mod url;

use std::cell::Cell;
use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

pub use self::error::{Failure, Kind};
pub use self::setup::Environment;
use crate::git::url::RepositoryUrl;

/// What a repository may cost; submodules count into the same sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes received, and bytes of the work tree, each.
    pub bytes: u64,
    /// Files and folders in the work tree.
    pub files: u64,
    /// Submodules in all.
    pub submodules: u64,
    /// Submodules within submodules.
    pub depth: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 512 << 20, files: 100_000, submodules: 100, depth: 10 }
    }
}

/// What the child is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// A student's work tree.
    Checkout(Checkout),
    /// The operator's test suite.
    Mirror(Mirror),
}

/// A work tree of one branch, with its submodules, in a folder that is absent or empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkout {
    /// The repository.
    pub url: RepositoryUrl,
    /// The very name of the branch; the remote's own choice where there is none.
    pub branch: Option<String>,
    /// Where the work tree goes.
    pub into: PathBuf,
    /// Whether the URL, or a submodule's, may be one of this machine.
    #[serde(default)]
    pub allow_local: bool,
    /// What it may cost.
    #[serde(default)]
    pub limits: Limits,
    /// Folder that keeps what is fetched of this repository for the next time.
    #[serde(default)]
    pub cache: Option<PathBuf>,
}

/// A bare mirror that is made or brought up to date, and the tree of one commit of it in a folder of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mirror {
    /// The repository; one of this machine is fine.
    pub url: RepositoryUrl,
    /// A branch, a tag or a commit; the remote's own choice of a branch where there is none.
    pub reference: Option<String>,
    /// The bare mirror; `<mirror>.lock` beside it keeps others out.
    pub mirror: PathBuf,
    /// Holds a folder for each commit that was asked for.
    pub trees: PathBuf,
    /// What it may cost.
    #[serde(default)]
    pub limits: Limits,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The work tree is there.
    CheckedOut(CheckedOut),
    /// The suite is there.
    Mirrored(Mirrored),
    /// It did not work.
    Failed(Failure),
}

/// A work tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckedOut {
    /// The commit, in hexadecimal.
    pub commit: String,
    /// The branch; none where the remote's HEAD is on none.
    pub branch: Option<String>,
    /// Bytes of the work tree, submodules included.
    pub bytes: u64,
    /// Files and folders of the work tree, submodules included.
    pub files: u64,
    /// Submodules that were checked out.
    pub submodules: u64,
    /// Bytes that came over the network.
    #[serde(default)]
    pub received: u64,
    /// Wall time.
    pub milliseconds: u64,
}

/// A suite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mirrored {
    /// The commit, in hexadecimal.
    pub commit: String,
    /// The folder with its tree: complete, without `.git`, never written to again.
    pub tree: PathBuf,
    /// Whether the remote was asked and answered.
    pub refreshed: bool,
    /// Whether the mirror or the tree is new or was changed by this request.
    pub changed: bool,
    /// Why the answer may be an old one: the remote is down.
    pub warning: Option<String>,
    /// Wall time.
    pub milliseconds: u64,
}

/// The first argument that selects this mode of the runner's binary.
pub const MODE: &str = "__git";

/// The environment variable of the child that names a file of certificates, to be read when TLS is met. `SSL_CERT_FILE`
/// itself is read at once, whatever comes.
pub const CERTIFICATES: &str = "OSTEST_CERTIFICATES";

/// The program of this mode.
pub fn main() -> ExitCode {
    child_main(std::io::stdin(), std::io::stdout())
}

/// The child: reads one [`Request`] as JSON, does it, writes one [`Answer`] as JSON. Exits with 0 wherever it could answer.
pub fn child_main(stdin: impl Read, stdout: impl Write) -> ExitCode {
    // A panic is answered.
    std::panic::set_hook(Box::new(|_| {}));
    match serve(stdin, stdout, setup::bound_memory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve(
    mut stdin: impl Read,
    mut stdout: impl Write,
    bound_memory: impl FnOnce(u64),
) -> std::io::Result<()> {
    let mut text = String::new();
    let request = stdin
        .read_to_string(&mut text)
        .map_err(|e| e.to_string())
        .and_then(|_| serde_json::from_str::<Request>(&text).map_err(|e| e.to_string()));
    let answer = match request {
        Ok(request) => {
            let (Request::Checkout(Checkout { limits, .. }) | Request::Mirror(Mirror { limits, .. })) =
                &request;
            bound_memory(limits.bytes);
            perform(&request, Environment::of_process())
        }
        Err(why) => {
            Answer::Failed(Failure::new(Kind::Other, format!("the request to git cannot be read: {why}")))
        }
    };
    stdout.write_all(&serde_json::to_vec(&answer)?)?;
    stdout.flush()
}

/// Does `request` in this process. Blocks; meant for the child alone, see [`child_main`].
pub fn perform(request: &Request, environment: Environment) -> Answer {
    static SWITCHES: std::sync::Once = std::sync::Once::new();
    SWITCHES.call_once(setup::switches);
    let done = catch_unwind(AssertUnwindSafe(|| match request {
        Request::Checkout(request) => checkout::perform(request, environment).map(Answer::CheckedOut),
        Request::Mirror(request) => mirror::perform(request, environment).map(Answer::Mirrored),
    }));
    match done {
        Ok(Ok(answer)) => answer,
        Ok(Err(failure)) => Answer::Failed(failure),
        Err(panic) => {
            let said = panic.downcast_ref::<String>().map(String::as_str);
            let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
            Answer::Failed(Failure::new(Kind::Damaged, format!("git broke on this repository: {said}")))
        }
    }
}

/// What one request has to hand in all of its parts.
struct Job {
    environment: Environment,
    configuration: setup::Configuration,
    allow_local: bool,
    budget: Budget,
}

impl Job {
    fn new(environment: Environment, allow_local: bool, limits: Limits) -> Result<Self, Failure> {
        let configuration = setup::Configuration::of(&environment)?;
        Ok(Self { environment, configuration, allow_local, budget: Budget::new(limits) })
    }

    /// The same once more, with the whole budget.
    fn restart(&mut self) {
        self.budget = Budget::new(self.budget.limits);
    }
}

/// What of the limits is used up.
struct Budget {
    limits: Limits,
    bytes: Cell<u64>,
    files: Cell<u64>,
    submodules: Cell<u64>,
    received: Cell<u64>,
}

impl Budget {
    fn new(limits: Limits) -> Self {
        let zero = || Cell::new(0);
        Self { limits, bytes: zero(), files: zero(), submodules: zero(), received: zero() }
    }

    fn count_bytes(&self, bytes: u64, url: &RepositoryUrl) -> Result<(), Failure> {
        self.bytes.set(self.bytes.get().saturating_add(bytes));
        let most = || format!("the files of {url} take more than {}", error::size(self.limits.bytes));
        hold(self.bytes.get() <= self.limits.bytes, most)
    }

    fn count_file(&self, url: &RepositoryUrl) -> Result<(), Failure> {
        self.files.set(self.files.get() + 1);
        let most = || format!("{url} has more than {} files and folders", self.limits.files);
        hold(self.files.get() <= self.limits.files, most)
    }

    fn count_submodule(&self, url: &RepositoryUrl) -> Result<(), Failure> {
        self.submodules.set(self.submodules.get() + 1);
        let most = || format!("{url} has more than {} submodules", self.limits.submodules);
        hold(self.submodules.get() <= self.limits.submodules, most)
    }
}

fn hold(within: bool, most: impl FnOnce() -> String) -> Result<(), Failure> {
    if within {
        Ok(())
    } else {
        Err(Failure::new(Kind::TooLarge, format!("{}, the limit of this runner", most())))
    }
}
