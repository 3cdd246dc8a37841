//! Setup of a confined program: a mode of the runner's own binary that is started in the sandbox, takes the last rights
//! away from itself and becomes the program.
//!
//! If the program is another mode of the same binary, the setup calls that mode: to execute the binary once more would
//! cost some 2 ms, most of them for relocating libraries.

mod drop_rights;
mod orders;
mod process;

pub(super) use drop_rights::close_all_but;
pub use drop_rights::drop_bounds;
pub use orders::{Orders, READY, SetupError};
pub use process::{MODE, main};
