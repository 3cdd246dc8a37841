//! The status as a page for people: one file, no script, nothing from elsewhere. Made from the JSON, so that the two
//! never differ; every text in it is a stranger's until it is escaped.

use std::fmt::Write as _;

use serde_json::Value;

const STYLE: &str = "body{font:14px/1.4 system-ui,sans-serif;margin:1.5rem;max-width:80rem;color:#222;background:#fff}\
h1{font-size:1.3rem}h2{font-size:1.05rem;margin:1.5rem 0 .3rem}table{border-collapse:collapse;width:100%}\
th,td{text-align:left;padding:.2rem .6rem;border-bottom:1px solid #ddd;vertical-align:top}\
th{font-weight:600}td:first-child,td:last-child{overflow-wrap:anywhere;min-width:11rem}th,td:nth-child(3){white-space:nowrap}\
.good{color:#176b2c}.bad{color:#a11}.dim{color:#666}code{font-size:.95em}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}th,td{border-color:#444}\
.good{color:#6cc884}.bad{color:#f08080}.dim{color:#999}}";

/// The page for `status`.
pub(super) fn page(status: &Value) -> String {
    let mut out = String::with_capacity(16 << 10);
    // Writing to a string cannot fail.
    write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"5\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>OSTEST runner</title><style>{STYLE}</style>\
         </head><body>\n<h1>OSTEST runner {}</h1>\n<p>{}; up for {} since {}.<br>Sandbox <code>{}</code> \
         <span class=\"dim\">{}</span> {}</p>\n",
        text(&status["version"]),
        text(&status["phase"]),
        duration(&status["uptime_seconds"]),
        text(&status["started_at"]),
        text(&status["sandbox"]["level"]),
        text(&status["sandbox"]["enforced"]),
        text(&status["sandbox"]["weaker_because"]),
    )
    .ok();
    checks(&mut out, status);
    let slots = &status["slots"];
    writeln!(out, "<h2>Working on {} of {}</h2>", text(&slots["busy"]), text(&slots["total"])).ok();
    table(
        &mut out,
        &["task", "progress", "in it for", "taken", "in all", "so far"],
        &status["working"],
        |task| {
            vec![
                text(&task["task"]),
                text(&task["progress"]),
                duration(&task["progress_seconds"]),
                text(&task["taken_at"]),
                duration(&task["elapsed_seconds"]),
                times(&task["times"]),
            ]
        },
    );
    let spool = &status["spool"];
    let oldest = match &spool["oldest_seconds"] {
        Value::Null => String::new(),
        age => format!("; the oldest for {}", duration(age)),
    };
    write!(
        out,
        "<h2>Spool</h2>\n<p>{} not finished, {} not delivered{oldest}, {} refused, {} set aside. \
         <span class=\"dim\"><code>runner spool list</code> shows them.</span></p>\n",
        text(&spool["claimed"]),
        text(&spool["results"]),
        text(&spool["rejected"]),
        text(&spool["aside"]),
    )
    .ok();
    out.push_str("<h2>Last tasks</h2>\n");
    let head =
        ["task", "taken", "verdict", "passed", "in all", "times", "memory", "delivery", "what went wrong"];
    table(&mut out, &head, &status["last"], |task| {
        // The last progress is the delivery, of which the object says more.
        let mut way = task["times"].clone();
        if let (Some(way), seconds @ Value::Number(_)) = (way.as_object_mut(), &task["delivery"]["seconds"]) {
            way.insert("deliver".to_owned(), seconds.clone());
        }
        let good = if task["verdict"] == "SUCCESS" { "good" } else { "bad" };
        vec![
            text(&task["task"]),
            text(&task["taken_at"]),
            format!("<span class=\"{good}\">{}</span>", text(&task["verdict"])),
            format!("{} of {}", text(&task["passed"]), text(&task["tests"])),
            duration(&task["elapsed_seconds"]),
            times(&way),
            task["memory_peak_bytes"].as_u64().map_or_else(String::new, |peak| format!("{} MB", peak >> 20)),
            format!("{} {}", text(&task["delivery"]["state"]), text(&task["delivery"]["status"])),
            format!("{} <span class=\"dim\">{}</span>", text(&task["fault"]["message"]), ending(task)),
        ]
    });
    out.push_str("</body></html>\n");
    out
}

fn checks(out: &mut String, status: &Value) {
    for (word, which) in [("healthy", "healthy"), ("ready", "ready")] {
        let good = status[which]["ok"] == true;
        let (class, not) = if good { ("good", "") } else { ("bad", "not ") };
        write!(out, "<p><b class=\"{class}\">{not}{word}</b>").ok();
        for (name, check) in status[which]["checks"].as_object().into_iter().flatten() {
            let class = if check["ok"] == true { "dim" } else { "bad" };
            write!(out, " · <span class=\"{class}\">{}: {}</span>", escape(name), text(&check["says"])).ok();
        }
        out.push_str("</p>\n");
    }
}

/// `row` gives cells that are HTML already.
fn table(out: &mut String, head: &[&str], rows: &Value, row: impl Fn(&Value) -> Vec<String>) {
    let rows = rows.as_array().map_or(&[][..], Vec::as_slice);
    if rows.is_empty() {
        out.push_str("<p class=\"dim\">none</p>\n");
        return;
    }
    out.push_str("<table><tr>");
    for name in head {
        out.extend(["<th>", name, "</th>"]);
    }
    out.push_str("</tr>\n");
    for each in rows {
        out.push_str("<tr>");
        for cell in row(each) {
            out.extend(["<td>", cell.as_str(), "</td>"]);
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table>\n");
}

/// How the suite ended, and the limits that it hit.
fn ending(task: &Value) -> String {
    let limits = task["limits_hit"].as_array().map_or(&[][..], Vec::as_slice);
    let all = std::iter::once(&task["exit"]).chain(limits).map(text).filter(|text| !text.is_empty());
    all.collect::<Vec<_>>().join("; ")
}

fn times(times: &Value) -> String {
    // In the order of a task's way; an object has none of its own.
    let each = ["claim", "checkout", "prepare", "execute", "report", "deliver"].into_iter();
    let known = each.filter_map(|progress| Some((progress, times.get(progress)?)));
    known.map(|(progress, took)| format!("{progress} {}", duration(took))).collect::<Vec<_>>().join(", ")
}

fn duration(seconds: &Value) -> String {
    match seconds.as_f64() {
        Some(seconds) if seconds >= 3600.0 => format!("{:.1} h", seconds / 3600.0),
        Some(seconds) if seconds >= 120.0 => format!("{:.0} min", seconds / 60.0),
        Some(seconds) if seconds >= 10.0 => format!("{seconds:.0} s"),
        Some(seconds) => format!("{seconds:.1} s"),
        None => String::new(),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => escape(text),
        other => escape(&other.to_string()),
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Marks that turn the direction of text around would make a line say something else.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_of_a_stranger_is_markup() {
        let hostile = "<script>alert('x')</script>\"&\u{202e}";
        let task = json!({"task": hostile, "progress": hostile, "verdict": hostile, "times": {hostile: 1.0},
            "fault": {"message": hostile}, "exit": hostile, "limits_hit": [hostile], "delivery": {"state": hostile}});
        let page = page(&json!({"working": [task], "last": [task], "version": hostile, "phase": hostile,
            "ready": {"ok": false, "checks": {hostile: {"ok": false, "says": hostile}}}}));
        assert!(!page.contains("<script") && !page.contains("alert('"), "{page}");
        assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;\u{fffd}"));
    }
}
