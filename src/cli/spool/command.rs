//! The subcommands of `runner spool`.

use std::io::{self, Write};
use std::path::Path;

use super::select::{self, Problem, Which};
use super::show;
use crate::cli::Exit;
use crate::spool::{self, Entry, Lock, Locked, Place};

/// Subcommands of `runner spool`.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum SpoolCommand {
    /// List claims, waiting results, refused results, and files set aside
    List {
        /// Print one JSON array
        #[arg(long)]
        json: bool,
    },
    /// Print a file of the spool
    Show {
        /// Name or id of the entry, or the beginning of one
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Send a refused result again; a running runner notices it by itself
    Retry(Which),
    /// Remove an entry for good; the backend then gets no result for the task from this runner
    Drop(Which),
}

/// Runs `command` on the spool in the state folder `state`. Output goes to `out`, an error as one line to `err`.
///
/// Returns [`Exit::Failure`] if no entry matches or the command is refused, [`Exit::Unusable`] if the spool cannot be read
/// or changed.
///
/// # Errors
/// `out` or `err` cannot be written to.
pub fn run(
    state: &Path,
    command: &SpoolCommand,
    out: &mut impl Write,
    err: &mut impl Write,
) -> io::Result<Exit> {
    let mut output = String::new();
    let done = perform(state, command, &mut output);
    // Includes what was done before an error.
    out.write_all(output.as_bytes())?;
    out.flush()?;
    match done {
        Ok(()) => Ok(Exit::Success),
        Err(Problem::Refused(why)) => writeln!(err, "{why}").map(|()| Exit::Failure),
        Err(Problem::Unreadable(error)) => writeln!(err, "{error}").map(|()| Exit::Unusable),
    }
}

/// Runs `command` and adds its output to `output`.
fn perform(state: &Path, command: &SpoolCommand, output: &mut String) -> Result<(), Problem> {
    // A missing state folder is a wrong name, not an empty spool.
    state.read_dir().map_err(|error| {
        let message =
            format!("cannot read the state folder {}: {error}; --state-dir names another", state.display());
        io::Error::new(error.kind(), message)
    })?;
    // So is a folder without a spool: "empty" would mean that every task is answered.
    if !spool::is_there(state)? {
        let message =
            format!("{} is not a state folder: it has no spool; --state-dir names another", state.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, message).into());
    }
    let entries = spool::entries(state)?;
    match command {
        SpoolCommand::List { json: true } => output.push_str(&show::json(&entries)),
        SpoolCommand::List { json: false } => output.push_str(&show::table(&entries, state)),
        SpoolCommand::Show { id } => {
            let file = spool::contents(select::one(&entries, id)?)?;
            output.push_str(&show::pretty(&file));
        }
        SpoolCommand::Retry(which) => {
            for entry in select::chosen(&entries, which)? {
                retry(state, entry, output)?;
            }
        }
        SpoolCommand::Drop(which) => {
            for entry in select::chosen(&entries, which)? {
                discard(state, entry, output)?;
            }
        }
    }
    Ok(())
}

/// Moves a refused result back to the waiting ones.
fn retry(state: &Path, entry: &Entry, output: &mut String) -> Result<(), Problem> {
    let why = match entry.place {
        Place::Rejected => {
            spool::retry(state, entry)?;
            output.push_str(&show::line(entry));
            output.push_str(" is sent again\n");
            return Ok(());
        }
        Place::Results => "waits for its delivery already",
        Place::Claimed => "has no result yet: the runner runs it now or at its next start",
        _ => "is set aside: mend it and move it to results/ by hand",
    };
    Err(Problem::Refused(format!("{} {why}", show::line(entry))))
}

/// Removes an entry; a claim only if no runner works in the state folder.
fn discard(state: &Path, entry: &Entry, output: &mut String) -> Result<(), Problem> {
    let _lock = if entry.place == Place::Claimed {
        match Lock::take(state)? {
            Locked::Taken(lock) => Some(lock),
            Locked::By(holder) => {
                let why = format!(
                    "{} is being worked on by the runner that is {holder}; stop it first",
                    show::line(entry)
                );
                return Err(Problem::Refused(why));
            }
        }
    } else {
        None
    };
    spool::discard(state, entry)?;
    output.push_str(&show::line(entry));
    output.push_str(" is removed\n");
    Ok(())
}
