//! The runner's readers, by their source files, and what must hold of them.
//!
//! Not by a dependency on `ostest-runner`: that would build OpenSSL and libgit2 once more, with a sanitizer, for
//! nothing that is fuzzed. rustfmt is kept from those files, for it would look for their tests beside this one.

// A part of the runner's modules alone, so not all in them is used.
#![allow(dead_code)]

pub mod checks;
pub mod wire;

#[rustfmt::skip]
#[path = "../../src/junit/mod.rs"]
pub mod junit;
#[rustfmt::skip]
#[path = "../../src/report.rs"]
pub mod report;
#[rustfmt::skip]
#[path = "../../src/task.rs"]
pub mod task;
#[rustfmt::skip]
#[path = "../../src/text/mod.rs"]
pub mod text;
#[rustfmt::skip]
#[path = "../../src/units.rs"]
pub mod units;
