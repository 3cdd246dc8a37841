//! Tests of the whole contract over real HTTP.
//! The client is written by hand so that tests can observe dropped connections, truncated bodies and raw headers.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod admin;
mod auth;
mod client;
mod faults;
mod lifecycle;
mod program;
mod results;
mod tasks;
