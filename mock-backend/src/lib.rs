//! A complete stand-in for the OSTEST backend: a library for tests, a program for people.
//!
//! It speaks the whole contract over real HTTP (claim, result, login, refresh), enforces the storage limits of
//! the deployed backend with the same status codes, fails on request and records everything it was asked. It
//! reads the contract on its own and knows nothing of the runner: a drift between the two shows in a test.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use mock_backend::{Endpoint, Fault, FaultKind, MockBackend, NewTask, Settings};
//! use std::time::Duration;
//!
//! let backend = MockBackend::start(Settings::default()).await?;
//! let id = backend.submit(NewTask::new("https://example.org/student.git", "main").lab(1));
//! backend.fault(Fault::new(Endpoint::Result, FaultKind::status(503)).times(2));
//! // … point a runner at backend.url() …
//! let answer = backend.next_result(Duration::from_secs(30)).await?;
//! assert_eq!(answer.id, id);
//! assert!(backend.violations().is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! The way of a request: `server` (connections, faults, record) -> `contract` (the four routes) -> `auth`,
//! `verdict` and `store`; `admin` serves people under `/mock/`; `handle` is what a test holds.

mod admin;
mod auth;
mod contract;
mod event;
mod fault;
mod fault_text;
mod faulty_body;
mod handle;
mod json_text;
mod jwt;
mod server;
mod settings;
mod shared;
mod store;
mod strict;
mod summary;
mod task;
mod verdict;

pub use event::Event;
pub use fault::{Endpoint, Fault, FaultKind, Times};
pub use fault_text::{FaultTextError, parse_duration};
pub use handle::{MockBackend, StartError, WaitError};
pub use settings::{IdKind, Limits, Paths, Settings, Sweep, User};
pub use store::{Attempt, Refusal, RequestRecord, Status, StoredResult, Violation};
pub use task::{NewTask, TaskFileError, TaskId, read_tasks};
pub use verdict::{CaseResult, TaskResult};

/// The bytes of a body, cheap to clone.
pub use axum::body::Bytes;
