//! What `PostgreSQL` refuses in a JSON text that is otherwise fine: U+0000 and lone surrogates.
//! Works on the raw text, since `serde_json` refuses to decode a lone surrogate at all.

use std::borrow::Cow;

/// Why a text cannot be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unstorable {
    /// `\u0000`: neither `text` nor `jsonb` takes it.
    Nul,
    /// Half of a surrogate pair: `jsonb` refuses it.
    LoneSurrogate,
}

/// The first thing in this JSON text that cannot be stored. The text must be valid JSON apart from surrogates.
pub(crate) fn unstorable(text: &str) -> Option<Unstorable> {
    escapes(text).into_iter().map(|(_, what)| what).next()
}

/// The same text with every lone surrogate replaced by U+FFFD, so that it can be decoded.
pub(crate) fn decodable(text: &str) -> Cow<'_, str> {
    let mut clean = Cow::Borrowed(text);
    for (at, what) in escapes(text) {
        if what == Unstorable::LoneSurrogate {
            clean.to_mut().replace_range(at..at + 6, r"\ufffd");
        }
    }
    clean
}

/// Offset and kind of every `\uXXXX` that cannot be stored.
fn escapes(text: &str) -> Vec<(usize, Unstorable)> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'\\' {
            at += 1;
            continue;
        }
        match unit(bytes, at) {
            // Another escape of two characters: `\\u0000` is a backslash and plain text.
            None => at += 2,
            Some(0) => {
                found.push((at, Unstorable::Nul));
                at += 6;
            }
            Some(0xD800..=0xDBFF) if matches!(unit(bytes, at + 6), Some(0xDC00..=0xDFFF)) => at += 12,
            Some(0xD800..=0xDFFF) => {
                found.push((at, Unstorable::LoneSurrogate));
                at += 6;
            }
            Some(_) => at += 6,
        }
    }
    found
}

/// The UTF-16 unit of a `\uXXXX` that begins at `at`.
fn unit(bytes: &[u8], at: usize) -> Option<u16> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(br"\u")?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nul_and_lone_surrogates_are_found() {
        for (text, expected) in [
            (r#""plain""#, None),
            (r#""a\u0000b""#, Some(Unstorable::Nul)),
            (r#""\ud800""#, Some(Unstorable::LoneSurrogate)),
            (r#""\uDC00 first""#, Some(Unstorable::LoneSurrogate)),
            (r#""\ud800\ud800\udc00""#, Some(Unstorable::LoneSurrogate)),
            (r#""\ud83d\ude00 a pair""#, None),
            (r#""\\u0000 an escaped backslash""#, None),
            (r#""\\\u0000""#, Some(Unstorable::Nul)),
            (r#""\u0001""#, None),
            (r#""cut \u00"#, None),
            ("\"\u{fffd}й\"", None),
        ] {
            assert_eq!(unstorable(text), expected, "{text}");
        }
    }

    #[test]
    fn a_lone_surrogate_is_replaced_and_the_rest_stays() {
        let text = r#"{"a":"\ud800x\ud83d\ude00","b":"\\ud800"}"#;
        assert_eq!(decodable(text), r#"{"a":"\ufffdx\ud83d\ude00","b":"\\ud800"}"#);
        assert!(serde_json::from_str::<serde_json::Value>(&decodable(text)).is_ok());
        assert!(matches!(decodable(r#""untouched""#), Cow::Borrowed(_)));
    }
}
