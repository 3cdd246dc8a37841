//! Shortens text and keeps both ends. Never cuts inside a character.

use std::borrow::Cow;

/// Separates head and tail of a shortened line.
const GAP: &str = " … ";

/// Shortens to at most `max_chars` Unicode scalars: two thirds head, one third tail, ` … ` between them.
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

/// Shortens like [`shorten`], to at most `max_bytes` bytes.
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

/// Shortens to at most `max_bytes` bytes: head and tail, and between them a line with the number of missing bytes.
/// The number stays right when the text is cut again.
pub fn head_and_tail(text: &str, max_bytes: usize) -> Cow<'_, str> {
    if text.len() <= max_bytes {
        return Cow::Borrowed(text);
    }
    // The longest mark that this text can get, so that the sum never exceeds the limit.
    let longest = cut_mark(missing(text)).len();
    let Some(room) = max_bytes.checked_sub(longest).filter(|&room| room >= 2) else {
        return Cow::Borrowed(&text[..boundary_before(text, max_bytes)]);
    };
    let (head, cut, tail) = ends(text, room - room / 2, room / 2);
    Cow::Owned([head, &cut_mark(missing(cut)), tail].concat())
}

const MARK_START: &str = "\n[… ";
const MARK_END: &str = " bytes cut …]\n";

/// The line that replaces `bytes` missing bytes.
pub fn cut_mark(bytes: u64) -> String {
    format!("{MARK_START}{bytes}{MARK_END}")
}

/// Bytes that are missing without `cut`: its own, and those that marks in it replace.
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

/// Splits `text` into a head and a tail of at most these bytes, and the text between them.
fn ends(text: &str, head: usize, tail: usize) -> (&str, &str, &str) {
    let head_end = boundary_before(text, head);
    let mut tail_start = text.len().saturating_sub(tail).max(head_end);
    while !text.is_char_boundary(tail_start) {
        tail_start += 1;
    }
    (&text[..head_end], &text[head_end..tail_start], &text[tail_start..])
}

/// The last character boundary at or before `at`.
fn boundary_before(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
