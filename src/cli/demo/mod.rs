//! `runner demo`: runs tasks on sample repositories. The backend is the mock backend over real HTTP; everything else is
//! what production runs.
//!
//! `play` runs the demo, `samples` holds the repositories, `verdicts` prints the table at the end.

mod play;
mod samples;
mod verdicts;

pub use play::{Args, run};
