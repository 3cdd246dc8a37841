//! Removes control characters and terminal escape sequences.

use std::borrow::Cow;

/// How pytest's `junitxml.py` (`bin_xml_escape`) writes an escape character, which XML does not allow.
const PYTEST_ESCAPE: &str = "#x1B";

/// Removes text that the backend cannot store or a page cannot show: control characters other than `\n` and `\t`,
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

/// Whether `text` begins with an escape sequence that pytest wrote. A bracket must follow, because `#x1B` alone may be
/// ordinary text of a test.
fn is_pytest_escape(text: &str) -> bool {
    text.strip_prefix(PYTEST_ESCAPE).is_some_and(|after| after.starts_with(['[', ']']))
}

/// The text after an escape sequence; `text` begins after its ESC.
fn after_escape(text: &str) -> &str {
    match text.chars().next() {
        Some('[') => after_csi(&text[1..]),
        Some(']' | 'P' | 'X' | '^' | '_') => after_string(&text[1..]),
        // A choice of a character set, such as `ESC ( B`.
        Some('(' | ')' | '*' | '+' | '#' | '%') => {
            let mut chars = text[1..].chars();
            if chars.next().is_some_and(|c| c.is_ascii_graphic()) { chars.as_str() } else { &text[1..] }
        }
        _ => text,
    }
}

/// The text after a control sequence, which has parameters, intermediates and one final byte (ECMA-48, 5.4).
fn after_csi(text: &str) -> &str {
    let rest = text.trim_start_matches(|c| matches!(c, '\x30'..='\x3f'));
    let rest = rest.trim_start_matches(|c| matches!(c, '\x20'..='\x2f'));
    rest.strip_prefix(|c| matches!(c, '\x40'..='\x7e')).unwrap_or(rest)
}

/// The text after a control string, which ends with BEL or ST. A string without an end reaches to the end of its line.
fn after_string(text: &str) -> &str {
    let Some(end) = text.find(['\x07', '\u{9c}', '\x1b', '\n']) else { return "" };
    let rest = &text[end..];
    if rest.starts_with('\n') {
        return rest;
    }
    rest.strip_prefix("\x1b\\").or_else(|| rest.strip_prefix(['\x07', '\u{9c}'])).unwrap_or(rest)
}

/// Cleans like [`clean`] and turns line breaks and tabs into spaces. For names and for errorDetails.
pub fn one_line(text: &str) -> Cow<'_, str> {
    match clean(text) {
        clean if clean.contains(['\n', '\t']) => Cow::Owned(
            clean.split(['\n', '\t']).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" "),
        ),
        clean => clean,
    }
}
