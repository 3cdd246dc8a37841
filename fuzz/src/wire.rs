//! The part of `src/backend/wire.rs` that is fuzzed.

#[rustfmt::skip]
#[path = "../../src/backend/wire/claim.rs"]
mod claim;
#[rustfmt::skip]
#[path = "../../src/backend/wire/result.rs"]
mod result;

pub use claim::{Claim, claim};
pub use result::{result_body, result_body_pretty};
