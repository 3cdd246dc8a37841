//! All settings in one place. Each module owns its own; this room reads them and checks them before anything starts.
//!
//! | file | contents |
//! | --- | --- |
//! | `settings` | the settings of all modules together |
//! | `read` | reads them from command line, environment and file, in that order of precedence |
//! | `check` | checks them as a whole, makes the folders, reads the password |
//! | `file` | the settings file |
//! | `origin` | where each value comes from |
//! | `running` | the settings that a reload changes |
//! | `slot`, `folder` | the state folder, also one that several runners share |
//! | `error`, `suggest`, `typos` | error lines, and suggestions for names that are nearly right |

mod bounded;
mod check;
mod error;
pub mod file;
mod folder;
pub mod origin;
mod password;
mod read;
pub mod running;
mod settings;
pub mod slot;
mod suggest;
mod typos;

pub use check::{Config, Folders};
pub use error::one_line;
pub use folder::foresee;
pub use password::read_passwords;
pub use read::{FileUse, Given, read};
pub use settings::{FolderSettings, Settings};
