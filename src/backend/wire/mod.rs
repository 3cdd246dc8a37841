//! Bodies of all requests and responses of the contract: claims, results, tokens. Only this module knows their fields; it
//! does not use HTTP.

mod claim;
mod result;
mod shrink;
mod token;

pub use claim::{Claim, claim, claim_from_body};
pub use result::{is_receipt, result_body, result_body_pretty};
pub use shrink::shrink;
pub use token::{Tokens, expiry, login_body, refresh_body, roles, tokens};
