//! Tests of the sandbox as an operator sees it: options, limits and their texts, isolation. `attacks` tests hostile programs.

mod bench;
mod isolation;
mod limits;
mod options;
mod pytest;

pub use bench::{Bench, case, has, last_kept, memory, text};
