//! Prints entries of the spool: as a table, as JSON, and one file indented.

use std::fmt::Write as _;
use std::path::Path;
use std::time::SystemTime;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::spool::{About, Entry, Place, show_time};
use crate::task::TaskId;
use text::{clean, one_line, shorten, without_secrets};

/// Longest id in the table, in characters.
const MAX_ID: usize = 40;
/// Longest answer of a backend in the table, in characters.
const MAX_ANSWER: usize = 80;

/// The name of an entry in a sentence.
pub(super) fn line(entry: &Entry) -> String {
    let id = entry.id.as_ref().map(|id| format!(" (task {})", id.short())).unwrap_or_default();
    format!("{}/{}{id}", entry.place.name(), one_line(&entry.name))
}

/// All entries as a table with a header.
pub(super) fn table(entries: &[Entry], state: &Path) -> String {
    if entries.is_empty() {
        return format!("the spool in {} is empty\n", state.display());
    }
    let header = ["NAME", "STATE", "AGE", "SIZE", "ID", "ABOUT"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(header).chain(entries.iter().map(row)).collect();
    let mut out = String::new();
    for row in &rows {
        for (at, cell) in row.iter().enumerate() {
            let width = rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
            let _ =
                if at + 1 == row.len() { writeln!(out, "{cell}") } else { write!(out, "{cell:width$}  ") };
        }
    }
    out
}

fn row(entry: &Entry) -> [String; 6] {
    let age = entry.since.map(age).unwrap_or_default();
    let id = entry.id.as_ref().map(TaskId::short).unwrap_or_default();
    let about = match &entry.about {
        About::Claim { starts } => format!("started {starts} times"),
        About::Result { verdict, refused: Some((status, answer)) } => {
            format!("{verdict}, refused with {status}: {}", shorten(&one_line(answer), MAX_ANSWER))
        }
        About::Result { verdict, refused: None } => (*verdict).to_owned(),
        About::Unreadable(why) => why.clone(),
    };
    let name = one_line(&entry.name).into_owned();
    [name, state(entry.place).to_owned(), age, size(entry.size), shorten(&id, MAX_ID).into_owned(), about]
}

/// The name of an entry's state.
fn state(place: Place) -> &'static str {
    match place {
        Place::Claimed => "claimed",
        Place::Results => "waiting",
        Place::Rejected => "refused",
        Place::Aside | Place::Unfinished => "aside",
    }
}

fn age(since: SystemTime) -> String {
    let seconds = since.elapsed().unwrap_or_default().as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..10_240 => format!("{bytes} B"),
        10_240..10_485_760 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

/// All entries as one JSON array, one entry on each line.
pub(super) fn json(entries: &[Entry]) -> String {
    let lines: Vec<_> =
        entries.iter().map(|entry| serde_json::to_string(&Line::of(entry)).unwrap_or_default()).collect();
    if lines.is_empty() { "[]\n".to_owned() } else { format!("[\n{}\n]\n", lines.join(",\n")) }
}

#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    state: &'static str,
    /// The id as the backend sent it.
    id: Option<&'a RawValue>,
    claimed_at: Option<String>,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    starts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<&'a str>,
}

impl<'a> Line<'a> {
    fn of(entry: &'a Entry) -> Self {
        let mut line = Self {
            name: &entry.name,
            state: state(entry.place),
            id: entry.id.as_ref().map(TaskId::raw),
            claimed_at: entry.since.map(show_time),
            bytes: entry.size,
            starts: None,
            verdict: None,
            status: None,
            answer: None,
            unreadable: None,
        };
        match &entry.about {
            About::Claim { starts } => line.starts = Some(*starts),
            About::Result { verdict, refused } => {
                line.verdict = Some(verdict);
                line.status = refused.as_ref().map(|(status, _)| *status);
                line.answer = refused.as_ref().map(|(_, answer)| answer.as_str());
            }
            About::Unreadable(why) => line.unreadable = Some(why),
        }
        line
    }
}

/// The text of a file, indented if it is JSON. Numbers, escapes and repeated keys stay as they are, which parsing would
/// change. Passwords in URLs and control characters are removed.
pub(super) fn pretty(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let shown =
        if serde_json::from_str::<&RawValue>(&text).is_ok() { indented(&text) } else { text.into_owned() };
    let mut shown = without_secrets(&clean(&shown)).into_owned();
    if !shown.ends_with('\n') {
        shown.push('\n');
    }
    shown
}

/// Breaks valid JSON into indented lines.
fn indented(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut depth = 0_usize;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => string(&mut chars, &mut out),
            '{' | '[' => {
                out.push(c);
                while chars.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(end) = chars.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(end);
                } else {
                    depth += 1;
                    new_line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => out.push(c),
        }
    }
    out
}

/// Copies a string after its first quote. `\/` becomes `/`, which means the same, so that URLs are recognized.
fn string(chars: &mut impl Iterator<Item = char>, out: &mut String) {
    out.push('"');
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => match chars.next() {
                Some('/') => out.push('/'),
                escaped => out.extend(std::iter::once(c).chain(escaped)),
            },
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Begins a line. The indentation is bounded, because the backend chooses the depth.
fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth.min(40)));
}
