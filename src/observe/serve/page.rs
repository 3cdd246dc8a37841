//! The status as a page for browsers: one file, without scripts and without requests to other hosts. It is made from the
//! JSON, so that the two never differ. Every text is untrusted and is escaped.

use std::fmt::Write as _;

use serde_json::Value;

const STYLE: &str = "body{font:14px/1.45 system-ui,sans-serif;margin:1.5rem auto;max-width:88rem;padding:0 1rem;\
color:#1f2328;background:#fff;font-variant-numeric:tabular-nums}\
h1{font-size:1.3rem;margin:0 0 .3rem}h2{font-size:1.05rem;margin:1.6rem 0 .4rem}p{margin:.35rem 0}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .8rem .3rem 0;\
border-bottom:1px solid #d8dee4;vertical-align:top}th{font-weight:600;color:#59636e;white-space:nowrap}\
td:first-child{font-family:ui-monospace,monospace;font-size:.9em;min-width:min(17.5rem,25vw);overflow-wrap:anywhere}\
td:last-child{overflow-wrap:anywhere}.fix{white-space:nowrap}\
.mark{font-weight:600;border-radius:.7em;padding:.05em .6em;white-space:nowrap}\
.good{color:#116329;background:#dafbe1}.bad{color:#a40e26;background:#ffebe9}.warn{color:#7d4e00;background:#fff8c5}\
.wrong{color:#a40e26}.dim{color:#59636e}code{font-size:.95em}\
@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}th,td{border-color:#30363d}\
th,.dim{color:#9198a1}.good{color:#7ee787;background:#12261e}.bad{color:#ffa198;background:#301b1d}\
.warn{color:#f2cc60;background:#2b2411}.wrong{color:#ffa198}}";

/// Returns the page for `status`.
pub(super) fn page(status: &Value) -> String {
    let mut out = String::with_capacity(16 << 10);
    // Writing to a string cannot fail.
    write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"5\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>OSTEST runner</title><style>{STYLE}</style>\
         </head><body>\n<h1>OSTEST runner <span class=\"dim\">{}</span></h1>\n\
         <p>{}; up for {}, since {} UTC</p>\n<p>sandbox <b>{}</b> <code class=\"dim\">{}</code> {}</p>\n",
        text(&status["version"]),
        text(&status["phase"]),
        duration(&status["uptime_seconds"]),
        moment(&status["started_at"]),
        text(&status["sandbox"]["level"]),
        text(&status["sandbox"]["enforced"]),
        text(&status["sandbox"]["weaker_because"]),
    )
    .ok();
    checks(&mut out, status);
    working(&mut out, status);
    spool(&mut out, &status["spool"]);
    last(&mut out, status);
    out.push_str("</body></html>\n");
    out
}

/// The tasks in the slots.
fn working(out: &mut String, status: &Value) {
    let slots = &status["slots"];
    writeln!(out, "<h2>Running: {} of {} slots busy</h2>", text(&slots["busy"]), text(&slots["total"])).ok();
    let head = ["task", "progress", "for", "taken (UTC)", "total", "finished"];
    table(out, &head, &status["working"], |task| {
        vec![
            text(&task["task"]),
            format!("<span class=\"mark warn\">{}</span>", text(&task["progress"])),
            duration(&task["progress_seconds"]),
            moment(&task["taken_at"]),
            duration(&task["elapsed_seconds"]),
            times(&task["times"]),
        ]
    });
}

fn spool(out: &mut String, spool: &Value) {
    let oldest = match &spool["oldest_seconds"] {
        Value::Null => String::new(),
        age => format!(", the oldest for {}", duration(age)),
    };
    write!(
        out,
        "<h2>Spool</h2>\n<p>{} not finished, {} not delivered{oldest}; {} refused, {} set aside. \
         <span class=\"dim\"><code>runner spool list</code> shows them.</span></p>\n",
        text(&spool["claimed"]),
        text(&spool["results"]),
        text(&spool["rejected"]),
        text(&spool["aside"]),
    )
    .ok();
}

/// The tasks that have a result, newest first.
fn last(out: &mut String, status: &Value) {
    out.push_str("<h2>Last tasks</h2>\n");
    let head =
        ["task", "taken (UTC)", "verdict", "passed", "total", "times", "memory", "delivery", "details"];
    table(out, &head, &status["last"], |task| {
        // The last one is the delivery, of which the object says more.
        let mut way = task["times"].clone();
        if let (Some(way), seconds @ Value::Number(_)) = (way.as_object_mut(), &task["delivery"]["seconds"]) {
            way.insert("deliver".to_owned(), seconds.clone());
        }
        let class = match task["verdict"].as_str() {
            Some("SUCCESS") => "good",
            Some("FAILURE") => "warn",
            _ => "bad",
        };
        vec![
            text(&task["task"]),
            moment(&task["taken_at"]),
            format!("<span class=\"mark {class}\">{}</span>", text(&task["verdict"])),
            format!("<span class=\"fix\">{} of {}</span>", text(&task["passed"]), text(&task["tests"])),
            duration(&task["elapsed_seconds"]),
            times(&way),
            task["memory_peak_bytes"].as_u64().map_or_else(String::new, |peak| format!("{} MB", peak >> 20)),
            format!("{} {}", text(&task["delivery"]["state"]), text(&task["delivery"]["status"])),
            format!("{} <span class=\"dim\">{}</span>", text(&task["fault"]["message"]), ending(task)),
        ]
    });
}

fn checks(out: &mut String, status: &Value) {
    for (word, which) in [("healthy", "healthy"), ("ready", "ready")] {
        let good = status[which]["ok"] == true;
        let (class, not) = if good { ("good", "") } else { ("bad", "not ") };
        write!(out, "<p><span class=\"mark {class}\">{not}{word}</span>").ok();
        for (name, check) in status[which]["checks"].as_object().into_iter().flatten() {
            let class = if check["ok"] == true { "dim" } else { "wrong" };
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

/// How long each part of a task's way took. Parts of less than 50 ms are left out, except the delivery.
fn times(times: &Value) -> String {
    // In the order of a task's way; an object has none of its own.
    let each = ["claim", "checkout", "prepare", "execute", "report", "deliver"].into_iter();
    let known = each.filter_map(|progress| Some((progress, times.get(progress)?)));
    let long = known.filter(|(progress, took)| {
        *progress == "deliver" || took.as_f64().is_some_and(|seconds| seconds >= 0.05)
    });
    long.map(|(progress, took)| format!("<span class=\"fix\">{progress} {}</span>", duration(took)))
        .collect::<Vec<_>>()
        .join(", ")
}

/// A time as people read it, to the second: `2026-11-29 07:15:56` for `2026-11-29T07:15:56.072Z`.
fn moment(value: &Value) -> String {
    let whole = text(value);
    match whole.split_once('T') {
        Some((day, time)) if time.len() >= 8 && whole.is_ascii() => {
            format!("<span class=\"fix\">{day} {}</span>", time.get(..8).unwrap_or(time))
        }
        _ => whole,
    }
}

fn duration(seconds: &Value) -> String {
    match seconds.as_f64() {
        Some(seconds) if seconds >= 3600.0 => format!("{:.1}&nbsp;h", seconds / 3600.0),
        Some(seconds) if seconds >= 120.0 => format!("{:.0}&nbsp;min", seconds / 60.0),
        Some(seconds) if seconds >= 10.0 => format!("{seconds:.0}&nbsp;s"),
        Some(seconds) => format!("{seconds:.1}&nbsp;s"),
        None => String::new(),
    }
}

/// The value as text that is no markup.
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
    fn escapes_untrusted_text() {
        let hostile = "<script>alert('x')</script>\"&\u{202e}";
        let task = json!({"task": hostile, "progress": hostile, "verdict": hostile, "times": {hostile: 1.0},
            "taken_at": format!("2026T{hostile}"), "fault": {"message": hostile}, "exit": hostile, "limits_hit": [hostile], "delivery": {"state": hostile}});
        let page = page(&json!({"working": [task], "last": [task], "version": hostile, "phase": hostile,
            "ready": {"ok": false, "checks": {hostile: {"ok": false, "says": hostile}}}}));
        assert!(!page.contains("<script") && !page.contains("alert('"), "{page}");
        assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;\u{fffd}"));
    }
}
