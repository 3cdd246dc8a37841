//! The messages of the plugin.

use serde::Deserialize;

/// A line from the plugin, with what the runner measured when it arrived.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::executors::pytest) struct Line<'a> {
    /// The line, without its end.
    pub(in crate::executors::pytest) text: &'a str,
    /// Peak memory since the start of the case, in bytes. Used for the end of a case only.
    pub(in crate::executors::pytest) memory: Option<u64>,
    /// A sentence about the case, such as why its program was killed. Used for the end of a case only.
    pub(in crate::executors::pytest) note: Option<&'a str>,
}

/// A message of the plugin.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(super) enum Message {
    /// A session begins. `version` is the version of these messages.
    Hello { version: u64 },
    /// Names of cases, in the order of their indexes.
    Collected { cases: Vec<String> },
    /// All cases are named; `count` is their number.
    Begin { count: u64 },
    /// The case with this index starts.
    Start { case: u64 },
    /// The case with this index has ended.
    End {
        case: u64,
        outcome: String,
        #[serde(default)]
        duration: f64,
        #[serde(default)]
        description: String,
    },
    /// The session has ended with this exit code of pytest.
    Finish { exit: i64 },
    /// The plugin cannot vouch for some results, for this reason.
    Doubt { why: String },
}
