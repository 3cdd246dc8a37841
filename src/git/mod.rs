//! Repositories: libgit2 fetches and writes them in a child process, because a hostile repository can make it hang or crash.
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`client`], `settings`, `environment` | the runner's side: starts the child, with limits and a minimal environment |
//! | `protocol` | the request on the child's stdin and the answer on its stdout |
//! | `child` | the main function of the child: one thread, one request, one answer |
//! | `checkout` | checks out the student's repository |
//! | `mirror`, `export`, `unfinished` | updates the mirror of the test suite and exports the tree of one commit |
//! | `work_tree`, `submodule`, `measure` | checks and writes the files of a commit and of its submodules |
//! | `fetch`, `auth` | talks to the remote; offers each login once, and only to the host of its URL |
//! | `job`, `setup` | limits, git's configuration, global switches of libgit2 |
//! | [`cache`] | objects that were fetched before |
//! | [`url`] | repository URLs that mask their secrets |
//! | `error` | kinds of failures, derived from libgit2's errors |
//!
//! Nothing that the child leaves on disk contains a login.

mod auth;
pub mod cache;
mod checkout;
mod child;
pub mod client;
mod environment;
mod error;
mod export;
mod fetch;
mod job;
mod measure;
mod mirror;
mod protocol;
mod settings;
mod setup;
mod submodule;
#[cfg(test)]
mod tests;
mod unfinished;
pub mod url;
mod work_tree;

pub use self::child::{child_main, main, perform};
pub use self::client::GitClient;
pub use self::error::{Failure, Kind};
pub use self::protocol::{
    Answer, CERTIFICATES, CheckedOut, Checkout, Limits, MODE, Mirror, Mirrored, Request,
};
pub use self::settings::Settings;
pub use self::setup::Environment;
