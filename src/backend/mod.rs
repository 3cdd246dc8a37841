//! The backend's client: claims tasks, posts results, logs in.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `client` | [`Backend`]: the requests of the runner |
//! | [`wire`] | the bodies of all requests and responses |
//! | `http` | one HTTP request, with limits on time and size |
//! | `tokens` | the background task that logs in and refreshes tokens |
//! | `secrets`, `credentials` | hides secrets in messages; reports 401 and 403 |
//! | `probe` | checks a backend for `runner doctor`, without claiming a task |
//! | `settings`, `error` | the options of the command line; the errors |

mod client;
mod credentials;
mod error;
mod http;
mod probe;
mod secrets;
mod settings;
mod tokens;
pub mod wire;

pub use client::Backend;
pub use error::Error;
pub use probe::{Probe, probe};
pub use settings::{Settings, Timeouts};
pub use wire::Claim;
