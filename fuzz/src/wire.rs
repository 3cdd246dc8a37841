//! The part of `src/backend/wire.rs` that is fuzzed.

#[rustfmt::skip]
#[path = "../../src/backend/wire/claim/mod.rs"]
mod claim;
#[rustfmt::skip]
#[path = "../../src/backend/wire/result/mod.rs"]
mod result;

pub use claim::{Claim, claim};
pub use result::{result_body, result_body_pretty};
