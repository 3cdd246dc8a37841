//! Parses small values of a report: references, times and counts, in the forms that tools write.

use std::time::Duration;

/// Limit of a time: a year. A longer time is an error of the tool.
const MAX_TIME: Duration = Duration::from_secs(366 * 86_400);
/// Limit of a reference, in bytes. Longer text between an ampersand and a semicolon is plain text.
const MAX_REFERENCE: usize = 32;

/// Appends the text of the reference `&name;`. A number without a character becomes U+FFFD. An unknown name stays as it
/// is, since it is clearer to a person than a replacement.
pub(super) fn push_reference(out: &mut String, name: &str) {
    let number = name.strip_prefix('#').map(|digits| match digits.strip_prefix(['x', 'X']) {
        Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16),
        None => digits.parse(),
    });
    match (name, number) {
        (_, Some(Ok(0) | Err(_))) => out.push(char::REPLACEMENT_CHARACTER),
        (_, Some(Ok(code))) => out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)),
        ("amp", _) => out.push('&'),
        ("lt", _) => out.push('<'),
        ("gt", _) => out.push('>'),
        ("quot", _) => out.push('"'),
        ("apos", _) => out.push('\''),
        _ => {
            out.push('&');
            out.push_str(name);
            out.push(';');
        }
    }
}

/// Sets `out` to the value of an attribute with its references resolved.
pub(super) fn set_unescaped(out: &mut String, raw: &str) {
    out.clear();
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'&', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let end = rest.bytes().take(MAX_REFERENCE).position(|b| b == b';' || b == b'&');
        match end {
            Some(end) if end > 0 && rest.as_bytes()[end] == b';' => {
                push_reference(out, &rest[..end]);
                rest = &rest[end + 1..];
            }
            _ => out.push('&'),
        }
    }
    out.push_str(rest);
}

/// Parses a time in seconds: `0.25`, `1,234.567` (Surefire), `0,5`, `12 s`. `None` for a negative number or other text.
pub(super) fn time(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<f64>() {
        return duration(seconds);
    }
    let text = text.trim().trim_end_matches('s').trim_end();
    let number = match (text.rfind(','), text.rfind('.')) {
        // A single comma and no point: a decimal comma. The same where the comma comes after the points.
        (Some(comma), None) if text.find(',') == Some(comma) => text.replace(',', "."),
        (Some(comma), Some(point)) if comma > point => text.replace('.', "").replace(',', "."),
        _ => text.replace(',', ""),
    };
    let number: String = number.chars().filter(|c| !c.is_whitespace()).collect();
    duration(number.parse().ok()?)
}

fn duration(seconds: f64) -> Option<Duration> {
    if !seconds.is_finite() || seconds.is_sign_negative() && seconds != 0.0 {
        return None;
    }
    Some(Duration::try_from_secs_f64(seconds.abs()).map_or(MAX_TIME, |time| time.min(MAX_TIME)))
}

/// Parses a count such as `12` or `1,200`. Other text gives 0.
pub(super) fn count(text: &str) -> u64 {
    let digits: String = text.trim().chars().filter(|&c| c != ',').collect();
    digits.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_the_tools_write_them() {
        for (text, millis) in [
            ("0", Some(0)),
            ("0.25", Some(250)),
            ("1,234.567", Some(1_234_567)),
            ("1,234,567.5", Some(1_234_567_500)),
            ("1,234,567", Some(1_234_567_000)),
            ("0,5", Some(500)),
            ("1.234,5", Some(1_234_500)),
            ("1 234,5", Some(1_234_500)),
            (" 2 s", Some(2_000)),
            ("1e-3", Some(1)),
            ("-0.0", Some(0)),
            ("1e300", Some(366 * 86_400 * 1_000)),
            ("-1", None),
            ("NaN", None),
            ("inf", None),
            ("", None),
            ("s", None),
            ("soon", None),
        ] {
            assert_eq!(time(text).map(|t| t.as_millis()), millis, "{text:?}");
        }
    }

    #[test]
    fn references_are_resolved_or_replaced() {
        let mut out = "old".to_owned();
        for (raw, expected) in [
            ("a &lt; b &amp;&amp; c &#10; &#x42; &quot;&apos;&gt;", "a < b && c \n B \"'>"),
            ("&#0; &#xD800; &#x110000; &#; &#99999999999;", "\u{fffd} \u{fffd} \u{fffd} \u{fffd} \u{fffd}"),
            ("&nbsp; & alone &; a&b;c &", "&nbsp; & alone &; a&b;c &"),
        ] {
            set_unescaped(&mut out, raw);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn counts_are_digits_or_nothing() {
        for (text, number) in
            [("12", 12), (" 1,200 ", 1_200), ("-1", 0), ("x", 0), ("", 0), ("99999999999999999999", 0)]
        {
            assert_eq!(count(text), number, "{text:?}");
        }
    }
}
