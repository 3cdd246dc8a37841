//! Text and numbers of the status as HTML.

use serde_json::Value;

/// A value as escaped text; null is the empty text.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => escape(text),
        other => escape(&other.to_string()),
    }
}

/// Escapes text that may come from a hostile program.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // These characters change the direction of text, so that a line reads differently from what it is.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// A number of seconds for people: `0.4 s`, `12 s`, `3 min`, `1.5 h`.
pub(super) fn duration(seconds: &Value) -> String {
    match seconds.as_f64() {
        Some(seconds) if seconds >= 3600.0 => format!("{:.1} h", seconds / 3600.0),
        Some(seconds) if seconds >= 120.0 => format!("{:.0} min", seconds / 60.0),
        Some(seconds) if seconds >= 10.0 => format!("{seconds:.0} s"),
        Some(seconds) => format!("{seconds:.1} s"),
        None => String::new(),
    }
}

/// Month, day and time of an RFC 3339 timestamp in UTC: `11-29 08:05:12`.
pub(super) fn time(timestamp: &Value) -> String {
    let short = timestamp.as_str().and_then(|text| text.get(5..19)).unwrap_or_default();
    escape(&short.replace('T', " "))
}

/// A table; `row` gives the cells of a row as whole `<td>` elements. Says "none" where there are no rows.
pub(super) fn table(out: &mut String, head: &[&str], rows: &Value, row: impl Fn(&Value) -> String) {
    let rows = rows.as_array().map_or(&[][..], Vec::as_slice);
    if rows.is_empty() {
        out.push_str("<p class=\"dim\">none</p>\n");
        return;
    }
    out.push_str("<div class=\"scroll\"><table><tr>");
    for name in head {
        out.extend(["<th>", name, "</th>"]);
    }
    out.push_str("</tr>\n");
    for each in rows {
        out.extend(["<tr>", &row(each), "</tr>\n"]);
    }
    out.push_str("</table></div>\n");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn shortens_timestamps_and_durations() {
        assert_eq!(time(&json!("2026-11-29T08:05:12.345Z")), "11-29 08:05:12");
        assert_eq!(time(&json!("soon")), "");
        let shown = [0.44, 12.0, 200.0, 5_400.0].map(|seconds| duration(&json!(seconds)));
        assert_eq!(shown, ["0.4 s", "12 s", "3 min", "1.5 h"]);
    }
}
