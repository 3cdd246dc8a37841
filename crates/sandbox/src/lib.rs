//! Supervised child processes and their confinement.
//!
//! [`command`] starts a program under a supervisor, stops it at its deadline, and kills everything that it started.
//! [`confine`] describes what the program may see and use. [`trial`] finds the strongest confinement that works on this
//! machine. [`workspace`] is the folder of one task. [`errno`] keeps the system's error number beside an error's message.

pub mod command;
pub mod confine;
pub mod errno;
pub mod trial;
pub mod workspace;
