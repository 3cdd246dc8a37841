//! Removal of processes that a killed runner left.

use super::spec::MARK;
use super::tree;

/// Rounds in which marked processes are looked for and killed.
const ROUNDS: usize = 10;

/// Kills what commands of an earlier run left whose mark begins with `mark`: processes whose runner was killed together with
/// their supervisor.
pub fn sweep(mark: &str) {
    for _ in 0..ROUNDS {
        let killed = tree::kill_marked(&format!("{MARK}={mark}-"));
        if killed.is_empty() {
            return;
        }
        tracing::warn!(name: "leftovers_killed", processes = killed.len(), "killed processes that an earlier run left");
    }
}
