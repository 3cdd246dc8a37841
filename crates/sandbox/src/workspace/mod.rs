//! The folder of one task, and the trees in it: they are copied, measured and removed here.

mod copy;
mod folder;
mod remove;
mod sweep;

pub use copy::{copy_tree, files_size, fill_tree};
pub use folder::Workspace;
pub use remove::remove_tree;
pub use sweep::sweep;

#[cfg(test)]
mod tests;
