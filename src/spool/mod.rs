//! The spool: claimed tasks and undelivered results, as JSON files that a person can read and move.
//!
//! A claim is on disk before the runner works on it, and a result before the runner sends it, so a `kill -9`, a full disk
//! or a power cut loses neither. All calls block: they write, and wait for fsync.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `store` | [`Spool`]: opens and locks the spool, reserves slots |
//! | `claim`, `finished` | a [`Slot`] becomes a [`Claimed`] task and then a [`Finished`] result |
//! | `recover` | what an earlier run left |
//! | `listing` | the spool for `runner spool`: lists, retries, discards |
//! | `preflight` | checks access rights before the spool is opened |
//! | `files`, `format`, `timestamp`, `lock` | durable files, their contents, times in names, the lock of the state folder |

mod claim;
mod depth;
mod files;
mod finished;
mod format;
mod inner;
mod listing;
mod lock;
mod preflight;
mod recover;
mod store;
#[cfg(test)]
mod tests;
mod timestamp;

pub use claim::{Claimed, MAX_STARTS, Slot};
pub use depth::Depth;
pub use files::Place;
pub use finished::Finished;
pub use listing::{About, Entry, contents, discard, entries, is_there, retry};
pub use lock::{Lock, Locked};
pub use preflight::preflight;
pub use recover::Found;
pub use store::{OpenError, Spool};
pub use timestamp::show as show_time;
