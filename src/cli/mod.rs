//! The command line: [`arguments`] reads it, [`app`] does what it asks for; a file or folder per subcommand.

pub mod app;
pub mod arguments;
pub mod config;
pub mod demo;
pub mod doctor;
pub mod healthcheck;
pub mod manual;
pub mod parse_report;
pub mod password;
pub mod run;
pub mod spool;

pub use arguments::{Cli, Command, DemoArgs, command, one_line, parse};
