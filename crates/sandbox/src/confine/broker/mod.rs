//! The broker of files: protects a suite's own files if the program under test owns them.
//!
//! A read-only mount cannot be written to, and a file of another user cannot be changed. Without either, an owner can restore
//! every access right; and Landlock's rules are about folders, in which new files must be possible beside the suite's. So
//! the program does not make the system calls by which an owner removes, moves or reopens existing files: the kernel hands
//! them to this process (seccomp's user notifications), which makes them in the program's place, unless they are about a
//! protected file.
//!
//! The broker resolves a path once, to a descriptor, and changes what it has checked. It makes one call after the other, so
//! that no call moves what another one checks. It is under the same Landlock rules, filters and limits as the program, which
//! are applied before it has a filter of its own: it can do nothing that the program could not do. It is the program's
//! parent, since some systems allow a process to inspect its descendants only.
//!
//! The suite's own interpreters cannot be inspected, so their calls cannot be made for them: they are trusted, and their calls
//! are let through. The supervisor names them; it knows them from their own messages on the channel for events. No other
//! process may hide its memory; calls of a program whose memory cannot be read are refused.

mod caller;
mod calls;
mod handed_over;
mod listener;
mod protected_files;
mod serve;
mod split;
mod trusted;

pub use listener::is_supported;
pub use split::{Orders, Side, adopt_orphans, split};
