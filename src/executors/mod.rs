//! Executors: the kinds of suites and how each is run.
//!
//! An [`Executor`] runs one task in five phases; [`drive`] owns their order, the deadline and the abort. The [`registry`] maps
//! a name to the constructor of an [`ExecutorKind`], which holds what the tasks of that kind share. Nothing outside this
//! room names a concrete executor.

mod bound;
mod driver;
mod executor;
mod mock;
mod parts;
mod pytest;
pub mod registry;
mod settings;

pub use bound::bound;
pub use driver::{Bounds, drive};
pub use executor::{Executor, ExecutorKind};
pub use parts::Parts;
pub use pytest::{Preset, SuiteSettings};
pub use registry::Registration;
pub use settings::Settings;
