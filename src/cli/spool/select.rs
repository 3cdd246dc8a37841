//! Finds the entries of the spool that a person names.

use std::io;

use super::show;
use crate::spool::{Entry, Place};

/// The entries to work on.
#[derive(Debug, Clone, clap::Args)]
#[group(required = true, multiple = false)]
pub struct Which {
    /// Name or id of the entry, or the beginning of one
    #[arg(value_name = "ID")]
    pub id: Option<String>,

    /// All refused results
    #[arg(long)]
    pub all: bool,
}

/// Why a command was not done.
pub(super) enum Problem {
    /// No entry matches, or the command is not possible; one sentence.
    Refused(String),
    /// The spool cannot be read or changed.
    Unreadable(io::Error),
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

/// The entries that `which` names.
pub(super) fn chosen<'a>(entries: &'a [Entry], which: &Which) -> Result<Vec<&'a Entry>, Problem> {
    if let Some(id) = &which.id {
        return one(entries, id).map(|entry| vec![entry]);
    }
    let refused: Vec<_> = entries.iter().filter(|entry| entry.place == Place::Rejected).collect();
    if refused.is_empty() { Err(Problem::Refused("no result is refused".to_owned())) } else { Ok(refused) }
}

/// The one entry whose name or id is `text`, or else begins with it.
pub(super) fn one<'a>(entries: &'a [Entry], text: &str) -> Result<&'a Entry, Problem> {
    let name = text.strip_suffix(".json").unwrap_or(text);
    let ids = |entry: &Entry| {
        let raw = entry.id.as_ref().map_or("", |id| id.raw().get());
        // A person types `é` for the `\u00e9` of a backend.
        let read = serde_json::from_str(raw).unwrap_or_else(|_| raw.to_owned());
        [raw.to_owned(), raw.trim_matches('"').to_owned(), read]
    };
    let exact =
        |entry: &&Entry| entry.name == name || entry.name == text || ids(entry).iter().any(|id| id == text);
    let begins =
        |entry: &&Entry| entry.name.starts_with(name) || ids(entry).iter().any(|id| id.starts_with(text));
    let mut matching: Vec<_> = entries.iter().filter(exact).collect();
    if matching.is_empty() && !text.is_empty() {
        matching = entries.iter().filter(begins).collect();
    }
    match matching[..] {
        [entry] => Ok(entry),
        [] => Err(Problem::Refused(format!("nothing in the spool has the name or the id {text:?}"))),
        ref several => {
            let names: Vec<_> = several.iter().map(|entry| show::line(entry)).collect();
            Err(Problem::Refused(format!(
                "{text:?} means {} entries, give a name: {}",
                names.len(),
                names.join(", ")
            )))
        }
    }
}
