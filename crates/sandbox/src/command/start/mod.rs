//! Start of a command's program: as it is, or confined as its plan says.

mod confined;
mod descriptors;
mod plain;
mod spawn;
mod started;

pub(super) use confined::sandbox_processes;
pub(super) use plain::start;
pub(super) use started::Failure;
