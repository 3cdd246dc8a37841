//! A complete stand-in for the OSTEST backend: a library for tests, a program for people.
//!
//! It implements the whole contract over real HTTP (claim, result, login, refresh), enforces the storage limits of the
//! deployed backend with the same status codes, injects faults and records all requests. It implements the contract
//! independently of the runner and shares no code with it, so that tests show any difference between the two.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use mock_backend::{Endpoint, Fault, FaultKind, MockBackend, NewTask, Settings};
//! use std::time::Duration;
//!
//! let backend = MockBackend::start(Settings::default()).await?;
//! let id = backend.submit(NewTask::new("https://example.org/student.git", "main").lab(1));
//! backend.fault(Fault::new(Endpoint::Result, FaultKind::status(503)).times(2));
//! // … start a runner with --backend-url backend.url() …
//! let result = backend.next_result(Duration::from_secs(30)).await?;
//! assert_eq!(result.id, id);
//! assert!(backend.violations().is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! A request passes through `server` (connections, faults, records), then `contract` (the four endpoints), then `auth`,
//! `submission` and `store`. `admin` serves the API under `/mock/`; `handle` is the API for tests.

mod admin;
mod auth;
mod contract;
mod error;
mod event;
mod fault;
mod fault_text;
mod faulty_body;
mod handle;
mod json_text;
mod jwt;
mod records;
mod result;
mod server;
mod settings;
mod shared;
mod store;
mod strict;
mod submission;
mod summary;
mod task;

pub use error::{StartError, WaitError};
pub use event::Event;
pub use fault::{Endpoint, Fault, FaultKind, Times};
pub use fault_text::{FaultTextError, parse_duration};
pub use handle::MockBackend;
pub use records::{Attempt, Refusal, RequestRecord, Status, StoredResult, Violation};
pub use result::{CaseResult, TaskResult};
pub use settings::{IdKind, Limits, Paths, Settings, Sweep, User};
pub use task::{NewTask, TaskFileError, TaskId, read_tasks};

/// The bytes of a body; cloning is cheap.
pub use axum::body::Bytes;
