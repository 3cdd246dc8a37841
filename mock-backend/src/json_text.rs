//! Finds escapes in a JSON text that `PostgreSQL` rejects although the text is valid JSON: U+0000 and lone surrogates.
//! Works on the raw text because `serde_json` does not decode lone surrogates.

use std::borrow::Cow;

/// Reason why a text cannot be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unstorable {
    /// `\u0000`: rejected by `text` and `jsonb`.
    Nul,
    /// Half of a surrogate pair: rejected by `jsonb`.
    LoneSurrogate,
}

/// Returns the first escape that cannot be stored. The text must be valid JSON apart from lone surrogates.
pub(crate) fn first_unstorable(text: &str) -> Option<Unstorable> {
    escapes(text).into_iter().map(|(_, kind)| kind).next()
}

/// Replaces every lone surrogate by U+FFFD, so that the text can be decoded.
pub(crate) fn replace_lone_surrogates(text: &str) -> Cow<'_, str> {
    let mut clean = Cow::Borrowed(text);
    for (at, kind) in escapes(text) {
        if kind == Unstorable::LoneSurrogate {
            clean.to_mut().replace_range(at..at + 6, r"\ufffd");
        }
    }
    clean
}

/// Byte offset and kind of every `\uXXXX` that cannot be stored.
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
            // An escape of two characters: `\\u0000` is an escaped backslash followed by plain text.
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

/// The UTF-16 code unit of the `\uXXXX` at byte offset `at`; `None` if there is none.
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
    fn finds_nul_and_lone_surrogates() {
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
            assert_eq!(first_unstorable(text), expected, "{text}");
        }
    }

    #[test]
    fn replaces_only_lone_surrogates() {
        let text = r#"{"a":"\ud800x\ud83d\ude00","b":"\\ud800"}"#;
        assert_eq!(replace_lone_surrogates(text), r#"{"a":"\ufffdx\ud83d\ude00","b":"\\ud800"}"#);
        assert!(serde_json::from_str::<serde_json::Value>(&replace_lone_surrogates(text)).is_ok());
        assert!(matches!(replace_lone_surrogates(r#""untouched""#), Cow::Borrowed(_)));
    }
}
