//! Reports to the service manager (sd_notify(3)): that the runner is ready, its status line, that its poll loop works, and
//! that a stop takes as long as the running tasks. Without `NOTIFY_SOCKET` it does nothing.
//!
//! `manager` decides what to send and when, `socket` sends it, `status` makes the status line.

mod manager;
mod socket;
mod status;

pub use manager::Manager;
