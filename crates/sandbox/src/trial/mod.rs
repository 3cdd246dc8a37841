//! Trials: which confinement works on this machine is found out by running a shell in it.

mod attempt;
mod context;
mod error;
mod find;
mod folders;

pub use context::TrialContext;
pub use error::FindError;
pub use find::find;
