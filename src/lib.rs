//! The OSTEST runner: takes test tasks from a backend, runs them in a sandbox, and never loses an answer.
//!
//! The way of a task:
//!
//! ```text
//! poll -> claim -> checkout -> execute -> report -> deliver
//! ```
//!
//! The rooms, from the top. Imports point downward only:
//!
//! | room | owns |
//! | --- | --- |
//! | [`cli`] | the command line, a file or folder per subcommand |
//! | [`daemon`] | start, stop, reload, notification of the service manager |
//! | [`config`] | settings from flags, environment and file, checked before anything starts |
//! | [`pipeline`] | the way of a task: poll, attempt, worker, deliver |
//! | [`executors`] | the kinds of suites and how each is run |
//! | [`git`] | repositories: fetched in a child process, cached, checked out |
//! | [`backend`] | the HTTP client and the wire types of the contract |
//! | [`observe`] | counters, status, log, progress on a terminal |
//! | [`spool`] | what is claimed and not yet answered, on disk |

pub mod backend;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod executors;
pub mod git;
pub mod live;
pub mod observe;
pub mod pipeline;
pub mod spool;
pub mod task;
