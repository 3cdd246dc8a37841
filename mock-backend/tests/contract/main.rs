//! The whole contract over real HTTP, as a client sees it.
//! The client is written by hand, so that it also sees what a good client hides: drops, cuts and headers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod admin;
mod auth;
mod client;
mod faults;
mod lifecycle;
mod program;
mod results;
mod tasks;
