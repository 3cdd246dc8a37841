//! `runner doctor`: checks what tasks need, one thing at a time, and prints the command that mends each problem.
//!
//! It does not disturb a runner on the same state folder: it takes no task, holds no lock and changes nothing that is
//! kept. Its login invalidates the refresh token of a runner with the same user; that runner then logs in again.
//!
//! `examine` prepares the checks and prints their findings, `checks` runs them in order; each of the other files
//! checks one area. `cause` finds the command that mends an error of the system.

mod backend;
mod cause;
mod checks;
mod confinement;
mod examine;
mod finding;
mod machine;
mod programs;
mod state;

use finding::{Finding, State};

pub use examine::{Args, run};
