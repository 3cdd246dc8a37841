//! The integration tests: one binary, a module a concern.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod reports;
