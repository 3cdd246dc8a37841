//! Text that people type and read, in the form that the backend can store: no control characters, no terminal colours,
//! bounded, with both ends kept. All functions but the parsers of [`units`] are total.

mod clean;
mod hex;
mod limit;
mod numbers;
mod secrets;
mod shorten;
pub mod units;

pub use clean::{clean, one_line};
pub use hex::hex;
pub use limit::{Limit, limited_size};
pub use numbers::thousands;
pub use secrets::{without_address_secrets, without_secrets};
pub use shorten::{cut_mark, head_and_tail, shorten, shorten_bytes};

#[cfg(test)]
mod tests;
