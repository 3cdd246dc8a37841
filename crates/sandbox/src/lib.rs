//! Supervised child processes and their confinement.
//!
//! [`command`] starts a program under a supervisor, stops it at its deadline, and leaves nothing of it behind. [`confine`] says what
//! the program may see and use. [`trial`] finds out which confinement works on this machine. [`workspace`] is the folder of one task.

pub mod command;
pub mod confine;
pub mod trial;
pub mod workspace;
