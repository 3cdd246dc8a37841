//! `GET /api/task/available`: a task, no task, or a response that must be logged or answered with an error.

mod cut;
mod fields;
mod read;
#[cfg(test)]
mod tests;

pub use read::{Claim, claim, claim_from_body};
