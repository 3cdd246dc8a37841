//! Every request and response body of the contract, the runner's side: claims, results, tokens. Nothing else in the
//! runner knows the names of fields; nothing here speaks HTTP.

mod claim;
mod result;
mod shrink;
mod token;

pub use claim::{Claim, claim};
pub use result::{is_receipt, result_body, result_body_pretty};
pub use shrink::shrink;
pub use token::{Tokens, expiry, login_body, refresh_body, roles, tokens};
