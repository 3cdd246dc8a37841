//! The OSTEST runner.
pub mod backend;
pub mod git;
pub mod junit;
pub mod parse_report;
pub mod report;
pub mod repository;
pub mod task;
pub mod text;
pub mod units;
