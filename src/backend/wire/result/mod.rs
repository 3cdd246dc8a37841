//! `POST /api/task/result`: a report as the body of a result, within the limits of the backend.

mod body;
mod cases;
mod details;
mod fit;
mod receipt;
#[cfg(test)]
mod tests;

pub use body::{result_body, result_body_pretty};
pub use receipt::is_receipt;
