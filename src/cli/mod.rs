//! The command line.
//!
//! [`arguments`] reads it, [`dispatch`] runs what it asks for; each subcommand has a file or a folder. [`exit`] holds the
//! exit codes.

pub mod arguments;
pub mod config;
pub mod demo;
pub mod dispatch;
pub mod doctor;
pub mod exit;
pub mod healthcheck;
pub mod manual;
pub mod parse_report;
pub mod password;
pub mod run;
pub mod spool;

pub use arguments::{Cli, Command, command, one_line, parse};
pub use exit::Exit;
