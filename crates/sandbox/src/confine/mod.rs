//! Confinement of a command: what it may see and use.
//!
//! Two mechanisms enforce it: bubblewrap, where the machine allows namespaces, and [`setup`], a mode of the runner's own
//! binary that applies limits, Landlock and seccomp to itself before it becomes the program. `setup` runs inside
//! bubblewrap, or alone.
//!
//! A [`Plan`] describes the confinement of one command and is sent to the command's supervisor. A [`Sandbox`] holds what
//! works on this machine and makes the plans.

pub mod arguments;
pub mod broker;
pub mod cgroup;
mod enforcement;
pub mod filter;
mod landlock_rules;
mod level;
pub mod limits;
pub mod memory_baseline;
mod plan;
mod sandbox;
mod settings;
pub mod setup;
mod trial_error;
pub mod users;
pub mod view;
pub mod wait;

pub use enforcement::{Enforcement, Feature, Mechanism};
pub use landlock_rules::version as landlock_version;
pub use level::Level;
pub use limits::Limits;
pub use plan::{Network, Plan, SuiteView, ToolView, View};
pub use sandbox::Sandbox;
pub use settings::{Choice, Settings};
pub use trial_error::{TrialError, TrialErrorKind};
