//! `runner spool`: shows people what the runner has taken and not answered, and lets them decide about it.
//!
//! All of it works beside a running runner, which finds what is retried by itself; only its claims are its own.

mod show;

use std::io::{self, Write};
use std::path::Path;

use crate::spool::{self, Entry, Lock, Locked, Place};

/// It is done.
const DONE: u8 = 0;
/// Nothing matched, or it is refused.
const REFUSED: u8 = 1;
/// The spool cannot be read or changed.
const UNREADABLE: u8 = 2;

/// What to do with the spool.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum SpoolCommand {
    /// List claims, waiting results, refused results, and what is set aside
    List {
        /// As one JSON array
        #[arg(long)]
        json: bool,
    },
    /// Print a file of the spool
    Show {
        /// Name or id, or the beginning of one
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Send a refused result again; a running runner notices by itself
    Retry(Which),
    /// Remove for good: the backend will get no result from this runner
    Drop(Which),
}

/// Which entries.
#[derive(Debug, Clone, clap::Args)]
#[group(required = true, multiple = false)]
pub struct Which {
    /// Name or id, or the beginning of one
    #[arg(value_name = "ID")]
    pub id: Option<String>,

    /// All refused results
    #[arg(long)]
    pub all: bool,
}

/// Why a command was not done.
enum Problem {
    /// One sentence.
    Refused(String),
    Unreadable(io::Error),
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

/// Does `command` on the spool below `state`; what there is to say goes to `out`, what went wrong to `err`.
///
/// Gives the exit code: 0 done, 1 nothing matched or it is refused, 2 the spool cannot be read or changed.
pub fn run(
    state: &Path,
    command: &SpoolCommand,
    out: &mut impl Write,
    err: &mut impl Write,
) -> io::Result<u8> {
    let mut said = String::new();
    let done = perform(state, command, &mut said);
    // What was done before something went wrong is said too.
    out.write_all(said.as_bytes())?;
    out.flush()?;
    match done {
        Ok(()) => Ok(DONE),
        Err(Problem::Refused(why)) => writeln!(err, "{why}").map(|()| REFUSED),
        Err(Problem::Unreadable(error)) => writeln!(err, "{error}").map(|()| UNREADABLE),
    }
}

fn perform(state: &Path, command: &SpoolCommand, said: &mut String) -> Result<(), Problem> {
    // A state folder that is not there is a wrong name rather than an empty spool.
    state.read_dir().map_err(|error| {
        let says =
            format!("cannot read the state folder {}: {error}; --state-dir names another", state.display());
        io::Error::new(error.kind(), says)
    })?;
    // And so is any other folder: "empty" would be taken for "all is answered".
    if !spool::is_there(state)? {
        let says =
            format!("{} is no state folder: it has no spool; --state-dir names another", state.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, says).into());
    }
    let entries = spool::entries(state)?;
    match command {
        SpoolCommand::List { json: true } => said.push_str(&show::json(&entries)),
        SpoolCommand::List { json: false } => said.push_str(&show::table(&entries, state)),
        SpoolCommand::Show { id } => said.push_str(&show::pretty(&spool::contents(one(&entries, id)?)?)),
        SpoolCommand::Retry(which) => {
            for entry in chosen(&entries, which)? {
                retry(state, entry, said)?;
            }
        }
        SpoolCommand::Drop(which) => {
            for entry in chosen(&entries, which)? {
                discard(state, entry, said)?;
            }
        }
    }
    Ok(())
}

fn retry(state: &Path, entry: &Entry, said: &mut String) -> Result<(), Problem> {
    let why = match entry.place {
        Place::Rejected => {
            spool::retry(state, entry)?;
            said.push_str(&show::line(entry));
            said.push_str(" is sent again\n");
            return Ok(());
        }
        Place::Results => "waits for its delivery already",
        Place::Claimed => "has no result yet: a runner runs it, or will at its next start",
        _ => "is set aside: mend it and move it to results/ by hand",
    };
    Err(Problem::Refused(format!("{} {why}", show::line(entry))))
}

fn discard(state: &Path, entry: &Entry, said: &mut String) -> Result<(), Problem> {
    let _held = if entry.place == Place::Claimed {
        match Lock::take(state)? {
            Locked::Taken(lock) => Some(lock),
            Locked::By(by) => {
                let why = format!(
                    "{} is being worked on by the runner that is {by}; stop it first",
                    show::line(entry)
                );
                return Err(Problem::Refused(why));
            }
        }
    } else {
        None
    };
    spool::discard(state, entry)?;
    said.push_str(&show::line(entry));
    said.push_str(" is removed\n");
    Ok(())
}

fn chosen<'a>(entries: &'a [Entry], which: &Which) -> Result<Vec<&'a Entry>, Problem> {
    if let Some(id) = &which.id {
        return one(entries, id).map(|entry| vec![entry]);
    }
    let refused: Vec<_> = entries.iter().filter(|entry| entry.place == Place::Rejected).collect();
    if refused.is_empty() { Err(Problem::Refused("no result is refused".to_owned())) } else { Ok(refused) }
}

/// The one entry that `text` means: its name or id, or else the beginning of one.
fn one<'a>(entries: &'a [Entry], text: &str) -> Result<&'a Entry, Problem> {
    let name = text.strip_suffix(".json").unwrap_or(text);
    let ids = |entry: &Entry| {
        let raw = entry.id.as_ref().map_or("", |id| id.raw().get());
        // A person types `é` where a backend wrote `\u00e9`.
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
        [] => Err(Problem::Refused(format!("nothing in the spool is named {text:?} or has this id"))),
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

#[cfg(test)]
mod tests;
