//! The cache of fetched objects: a later attempt of the same student transfers only what is new.
//!
//! `folders` runs in the runner: it assigns a folder to each repository and keeps the sum of their sizes below a limit.
//! `packs` runs in the git child: it restores packs from that folder before a fetch and saves them after it.

pub mod folders;
pub(super) mod packs;
