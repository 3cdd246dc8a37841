//! Sends each result in the spool until the backend has it.
//!
//! [`Deliver`] takes results and gives each one a `delivery` with a schedule of its own, so that a result which the backend
//! cannot take holds up no other. The `schedule` decides after each failed attempt: wait, give up, or done. A result
//! that the backend refuses for good stays in the spool, beside the answer that refused it.

mod delivery;
mod outgoing;
mod queue;
mod schedule;
mod shared;

pub use queue::{Deliver, Left};
