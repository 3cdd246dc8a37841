//! The supervisor: a small single-threaded process between the runner and one command.
//!
//! It is a session leader (a command has no terminal to prompt on, and a Ctrl-C at the runner's terminal is not for it)
//! and a child subreaper (what forks twice becomes its child). It ends everything below it when the command's program has
//! ended, when the runner requests it, when the runner's end of the control socket is closed, or when the runner dies.
//! Only then does it report the command's end.

mod begin;
mod end;
mod process;
mod serve;

pub use process::{MODE, main};
