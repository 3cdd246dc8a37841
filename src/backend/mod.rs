//! The backend, as the runner sees it.

pub mod wire;
