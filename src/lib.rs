//! The OSTEST runner.
pub mod junit;
pub mod report;
pub mod task;
pub mod text;
pub mod units;
