//! Text as the backend can store it and people can read it: no control characters, no terminal colours, bounded,
//! with the useful ends kept. All functions are total and never cut inside a character.

mod address;
pub mod units;

use std::borrow::Cow;
use std::fmt::Write as _;

pub use address::without_address_secrets;

/// Stands between head and tail in a shortened line.
const GAP: &str = " … ";
/// How `bin_xml_escape` of pytest's `junitxml.py` writes an escape character that XML does not allow.
const PYTEST_ESCAPE: &str = "#x1B";

/// Removes what the backend cannot store or the page cannot show: control characters other than `\n` and `\t`,
/// U+FFFE and U+FFFF, and terminal escape sequences as a whole. `\r\n` and a lone `\r` become `\n`.
pub fn clean(text: &str) -> Cow<'_, str> {
    let plain = |b: u8| (0x20..0x7f).contains(&b) || b == b'\n' || b == b'\t';
    if text.bytes().all(plain) && !text.contains(PYTEST_ESCAPE) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        rest = match c {
            '\x1b' => after_escape(after),
            '\u{9b}' => after_csi(after),
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => after_string(after),
            '#' if is_pytest_escape(rest) => after_escape(&rest[PYTEST_ESCAPE.len()..]),
            '\r' => {
                if !after.starts_with('\n') {
                    out.push('\n');
                }
                after
            }
            c => {
                if c == '\n' || c == '\t' || !(c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}')) {
                    out.push(c);
                }
                after
            }
        };
    }
    Cow::Owned(out)
}

/// Only together with a bracket: `#x1B` alone may well be what a test is about.
fn is_pytest_escape(text: &str) -> bool {
    text.strip_prefix(PYTEST_ESCAPE).is_some_and(|after| after.starts_with(['[', ']']))
}

/// What follows an escape sequence whose ESC has been taken.
fn after_escape(text: &str) -> &str {
    match text.chars().next() {
        Some('[') => after_csi(&text[1..]),
        Some(']' | 'P' | 'X' | '^' | '_') => after_string(&text[1..]),
        // The choice of a character set: `ESC ( B`.
        Some('(' | ')' | '*' | '+' | '#' | '%') => {
            let mut chars = text[1..].chars();
            if chars.next().is_some_and(|c| c.is_ascii_graphic()) { chars.as_str() } else { &text[1..] }
        }
        _ => text,
    }
}

/// What follows a control sequence: parameters, intermediates, one final byte (ECMA-48, 5.4).
fn after_csi(text: &str) -> &str {
    let rest = text.trim_start_matches(|c| matches!(c, '\x30'..='\x3f'));
    let rest = rest.trim_start_matches(|c| matches!(c, '\x20'..='\x2f'));
    rest.strip_prefix(|c| matches!(c, '\x40'..='\x7e')).unwrap_or(rest)
}

/// What follows a control string: it ends with BEL or ST. One without an end takes its line, not the whole text.
fn after_string(text: &str) -> &str {
    let Some(end) = text.find(['\x07', '\u{9c}', '\x1b', '\n']) else { return "" };
    let rest = &text[end..];
    if rest.starts_with('\n') {
        return rest;
    }
    rest.strip_prefix("\x1b\\").or_else(|| rest.strip_prefix(['\x07', '\u{9c}'])).unwrap_or(rest)
}

/// [`clean`], and line breaks and tabs become spaces: for names and for errorDetails.
pub fn one_line(text: &str) -> Cow<'_, str> {
    match clean(text) {
        clean if clean.contains(['\n', '\t']) => Cow::Owned(
            clean.split(['\n', '\t']).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" "),
        ),
        clean => clean,
    }
}

/// At most `max_chars` Unicode scalars: two thirds head, the rest tail, ` … ` between.
pub fn shorten(text: &str, max_chars: usize) -> Cow<'_, str> {
    if text.len() <= max_chars || text.chars().count() <= max_chars {
        return Cow::Borrowed(text);
    }
    let room = max_chars.saturating_sub(GAP.chars().count());
    if room < 2 {
        return Cow::Owned(text.chars().take(max_chars).collect());
    }
    let tail = room / 3;
    let head_end = text.char_indices().nth(room - tail).map_or(text.len(), |(at, _)| at);
    let tail_start = text.char_indices().rev().take(tail).last().map_or(text.len(), |(at, _)| at);
    Cow::Owned([&text[..head_end], GAP, &text[tail_start..]].concat())
}

/// Like [`shorten`], measured in bytes.
pub fn shorten_bytes(text: &str, max_bytes: usize) -> Cow<'_, str> {
    if text.len() <= max_bytes {
        return Cow::Borrowed(text);
    }
    let Some(room) = max_bytes.checked_sub(GAP.len()).filter(|&room| room >= 2) else {
        return Cow::Borrowed(&text[..boundary_before(text, max_bytes)]);
    };
    let (head, _, tail) = ends(text, room - room / 3, room / 3);
    Cow::Owned([head, GAP, tail].concat())
}

/// At most `max_bytes` bytes: head and tail, and between them a line that says how much is missing.
/// The count stays true when a text that was cut before is cut again.
pub fn head_and_tail(text: &str, max_bytes: usize) -> Cow<'_, str> {
    if text.len() <= max_bytes {
        return Cow::Borrowed(text);
    }
    // The longest mark there can be for this text, so that the sum never exceeds the bound.
    let longest = cut_mark(missing(text)).len();
    let Some(room) = max_bytes.checked_sub(longest).filter(|&room| room >= 2) else {
        return Cow::Borrowed(&text[..boundary_before(text, max_bytes)]);
    };
    let (head, cut, tail) = ends(text, room - room / 2, room / 2);
    Cow::Owned([head, &cut_mark(missing(cut)), tail].concat())
}

const MARK_START: &str = "\n[… ";
const MARK_END: &str = " bytes cut …]\n";

/// The line that stands where `bytes` bytes are missing.
pub fn cut_mark(bytes: u64) -> String {
    format!("{MARK_START}{bytes}{MARK_END}")
}

/// Bytes that are gone when `cut` goes: its own, and those that marks inside it stand for.
fn missing(cut: &str) -> u64 {
    let mut bytes = cut.len() as u64;
    for (at, start) in cut.match_indices(MARK_START) {
        let after = &cut[at + start.len()..];
        let count = after.find(MARK_END).and_then(|end| after[..end].parse::<u64>().ok().map(|n| (n, end)));
        if let Some((count, digits)) = count {
            let mark = (start.len() + digits + MARK_END.len()) as u64;
            bytes = bytes.saturating_sub(mark).saturating_add(count);
        }
    }
    bytes
}

/// Splits into a head and a tail of at most these bytes and what lies between.
fn ends(text: &str, head: usize, tail: usize) -> (&str, &str, &str) {
    let head_end = boundary_before(text, head);
    let mut tail_start = text.len().saturating_sub(tail).max(head_end);
    while !text.is_char_boundary(tail_start) {
        tail_start += 1;
    }
    (&text[..head_end], &text[head_end..tail_start], &text[tail_start..])
}

/// The last place at or before `at` that is not inside a character.
fn boundary_before(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Hides the user and the password of every URL in `text`: `https://***@host/`, also where JSON escapes the slashes, and
/// also of a URL at whose password the text was cut. The bare user of an ssh URL stays.
pub fn without_secrets(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((at, start)) = scheme_end(rest) {
        let authority = &rest[start..];
        let end = authority
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'' | '<' | '>'))
            .unwrap_or(authority.len());
        let is_cut = |authority: &str| {
            end == rest.len() - start
                && authority
                    .split_once(':')
                    .is_some_and(|(_, port)| port.contains(|c: char| !c.is_ascii_digit()))
        };
        match authority[..end].rfind('@') {
            Some(user) if !rest[..at].ends_with("ssh") || authority[..user].contains(':') => {
                let _ = write!(out, "{}***", &rest[..start]);
                rest = &authority[user..];
            }
            None if is_cut(authority) => {
                let _ = write!(out, "{}***", &rest[..start]);
                rest = "";
            }
            _ => {
                out.push_str(&rest[..start + end]);
                rest = &authority[end..];
            }
        }
    }
    if out.is_empty() {
        return Cow::Borrowed(text);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Where the first URL's scheme ends, and where what comes after its slashes begins.
fn scheme_end(text: &str) -> Option<(usize, usize)> {
    text.match_indices(':').find_map(|(at, _)| {
        let slashes = ["://", r":\/\/"].into_iter().find(|slashes| text[at..].starts_with(slashes))?;
        Some((at, at + slashes.len()))
    })
}

/// A number with its thousands apart: `25,000`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests;
