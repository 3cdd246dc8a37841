//! The OSTEST runner.
pub mod git;
pub mod report;
pub mod repository;
pub mod task;
pub mod units;
