//! The status as an HTML page for people: one file without scripts and without anything from another server. It is
//! made from the JSON of the status, so that the two always agree.

mod html;
mod times;

use std::fmt::Write as _;

use serde_json::Value;

use html::{duration, escape, table, text, time};

const STYLE: &str = include_str!("style.css");

/// The page for `status`. Every text of `status` may come from a hostile program and is escaped.
pub(super) fn page(status: &Value) -> String {
    let mut out = String::with_capacity(32 << 10);
    head(&mut out, status);
    out.push_str("<div class=\"cards\">\n");
    slots_card(&mut out, status);
    checks_card(&mut out, status);
    spool_card(&mut out, &status["spool"]);
    sandbox_card(&mut out, &status["sandbox"]);
    out.push_str("</div>\n<h2>Running tasks</h2>\n");
    let columns = ["task", "taken (UTC)", "progress", "in it for", "in all", "so far"];
    table(&mut out, &columns, &status["working"], running_row);
    out.push_str("<h2>Last tasks</h2>\n");
    last_tasks(&mut out, &status["last"]);
    out.push_str("</body></html>\n");
    out
}

/// The element `head`, with a title that says whether the runner needs a person, and the heading.
fn head(out: &mut String, status: &Value) {
    let (busy, slots) = (text(&status["slots"]["busy"]), text(&status["slots"]["total"]));
    let health = |which: &str, word: &str| {
        if status[which]["ok"] == true {
            return (word.to_owned(), "good");
        }
        let checks = status[which]["checks"].as_object().into_iter().flatten();
        let failing = checks.filter(|(_, check)| check["ok"] != true).map(|(name, _)| escape(name));
        (format!("not {word}: {}", failing.collect::<Vec<_>>().join(", ")), "bad")
    };
    let (healthy, ready) = (health("healthy", "healthy"), health("ready", "ready"));
    let first = if healthy.1 == "bad" { &healthy.0 } else { &ready.0 };
    let pill = |(word, class): &(String, &str)| format!("<span class=\"pill {class}\">{word}</span>");
    // Writing to a string cannot fail.
    write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"5\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>{first}, {busy} of {slots} busy \u{b7} OSTEST runner</title><style>{STYLE}</style></head><body>\n\
         <header><h1>OSTEST runner <small>{}</small></h1>\n<p>{} {} <b>{}</b> \
         <span class=\"dim\">\u{b7} up for {}, since {} UTC</span></p></header>\n",
        text(&status["version"]),
        pill(&healthy),
        pill(&ready),
        text(&status["phase"]),
        duration(&status["uptime_seconds"]),
        time(&status["started_at"]),
    )
    .ok();
}

fn slots_card(out: &mut String, status: &Value) {
    let (busy, total) = (text(&status["slots"]["busy"]), text(&status["slots"]["total"]));
    writeln!(
        out,
        "<div class=\"card\"><h3>Slots</h3><p class=\"big\">{busy} of {total} busy</p>\
         <meter min=\"0\" max=\"{total}\" value=\"{busy}\">{busy} of {total}</meter></div>"
    )
    .ok();
}

/// The checks of readiness, which include those of health.
fn checks_card(out: &mut String, status: &Value) {
    out.push_str("<div class=\"card\"><h3>Checks</h3><ul>");
    for (name, check) in status["ready"]["checks"].as_object().into_iter().flatten() {
        let (class, mark) = if check["ok"] == true { ("good", "\u{2713}") } else { ("bad", "\u{2717}") };
        let says = text(&check["says"]);
        let name = escape(name);
        write!(
            out,
            "<li><span class=\"{class}\">{mark} {name}</span> <span class=\"dim\">{says}</span></li>"
        )
        .ok();
    }
    out.push_str("</ul></div>\n");
}

fn spool_card(out: &mut String, spool: &Value) {
    let oldest = match &spool["oldest_seconds"] {
        Value::Null => String::new(),
        age => format!("<p class=\"dim\">the oldest for {}</p>", duration(age)),
    };
    let counts = [("results", "not delivered"), ("rejected", "refused"), ("aside", "set aside")];
    let counts = counts.map(|(name, words)| {
        let class = if spool[name].as_u64().unwrap_or_default() > 0 { "warn" } else { "dim" };
        format!("<span class=\"{class}\">{} {words}</span>", text(&spool[name]))
    });
    writeln!(
        out,
        "<div class=\"card\"><h3>Spool</h3><p class=\"big\">{} not finished</p><p>{}</p>{oldest}\
         <p class=\"dim\"><code>runner spool list</code> lists them</p></div>",
        text(&spool["claimed"]),
        counts.join(" \u{b7} "),
    )
    .ok();
}

fn sandbox_card(out: &mut String, sandbox: &Value) {
    let weaker = match &sandbox["weaker_because"] {
        Value::Null => String::new(),
        why => format!("<p class=\"warn\">{}</p>", text(why)),
    };
    writeln!(
        out,
        "<div class=\"card\"><h3>Sandbox</h3><p class=\"big\">{}</p><p class=\"dim\"><code>{}</code></p>{weaker}</div>",
        text(&sandbox["level"]),
        text(&sandbox["enforced"]),
    )
    .ok();
}

/// The cells of a task that runs.
fn running_row(task: &Value) -> String {
    format!(
        "<td class=\"id\">{}</td><td>{}</td><td><b>{}</b></td><td>{}</td><td>{}</td><td class=\"wide dim\">{}</td>",
        text(&task["task"]),
        time(&task["taken_at"]),
        text(&task["progress"]),
        duration(&task["progress_seconds"]),
        duration(&task["elapsed_seconds"]),
        times::words(task),
    )
}

fn last_tasks(out: &mut String, tasks: &Value) {
    let longest = tasks.as_array().into_iter().flatten().map(times::total).fold(0.0, f64::max);
    if longest > 0.0 {
        out.push_str(&times::legend());
    }
    let columns =
        ["task", "taken (UTC)", "verdict", "passed", "time", "memory", "delivery", "what went wrong"];
    table(out, &columns, tasks, |task| {
        let verdict = match task["verdict"].as_str() {
            Some("SUCCESS") => "good",
            Some("FAILURE") => "warn",
            _ => "bad",
        };
        let delivery = match task["delivery"]["state"].as_str() {
            Some("accepted") => "dim",
            Some("waits") => "warn",
            _ => "bad",
        };
        let memory =
            task["memory_peak_bytes"].as_u64().map_or_else(String::new, |peak| format!("{} MB", peak >> 20));
        format!(
            "<td class=\"id\">{}</td><td>{}</td><td><span class=\"pill {verdict}\">{}</span></td>\
             <td>{} of {}</td><td>{}{}</td><td>{memory}</td><td class=\"{delivery}\">{} {}</td>\
             <td class=\"wide\">{}</td>",
            text(&task["task"]),
            time(&task["taken_at"]),
            text(&task["verdict"]),
            text(&task["passed"]),
            text(&task["tests"]),
            duration(&task["elapsed_seconds"]),
            times::bar(task, longest),
            text(&task["delivery"]["state"]),
            text(&task["delivery"]["status"]),
            trouble(task),
        )
    });
}

/// The fault of a task with its cause, how the suite ended, and the limits that it hit.
fn trouble(task: &Value) -> String {
    let fault = match &task["fault"] {
        Value::Null => String::new(),
        fault => format!(
            "<span class=\"bad\">{}</span> <span class=\"dim\">({}, in {})</span> ",
            text(&fault["message"]),
            text(&fault["cause"]),
            text(&fault["progress"]),
        ),
    };
    let limits = task["limits_hit"].as_array().map_or(&[][..], Vec::as_slice);
    let exit = Some(&task["exit"]).filter(|exit| *exit != "exit code 0");
    let ending: Vec<_> = exit.into_iter().chain(limits).map(text).filter(|text| !text.is_empty()).collect();
    format!("{fault}<span class=\"dim\">{}</span>", ending.join("; "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn escapes_every_text_of_a_task() {
        let hostile = "<script>alert('x')</script>\"&\u{202e}";
        let task = json!({"task": hostile, "progress": hostile, "verdict": hostile, "times": {hostile: 1.0},
            "fault": {"message": hostile, "cause": hostile, "progress": hostile}, "exit": hostile,
            "limits_hit": [hostile], "taken_at": hostile, "delivery": {"state": hostile, "status": hostile}});
        let page = page(&json!({"working": [task], "last": [task], "version": hostile, "phase": hostile,
            "sandbox": {"level": hostile, "enforced": hostile, "weaker_because": hostile},
            "spool": {"claimed": hostile, "results": hostile}, "slots": {"busy": hostile, "total": hostile},
            "ready": {"ok": false, "checks": {hostile: {"ok": false, "says": hostile}}}}));
        assert!(!page.contains("<script") && !page.contains("alert('"), "{page}");
        assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;\u{fffd}"));
    }

    #[test]
    fn title_names_the_failing_check() {
        let title = |healthy: bool, ready: bool| {
            let loop_ok = json!({"ok": healthy, "checks": {"loop": {"ok": healthy}}});
            let backend_ok = json!({"ok": ready, "checks": {"loop": {"ok": true}, "backend": {"ok": ready}}});
            let slots = json!({"busy": 1, "total": 2});
            let page = page(&json!({"healthy": loop_ok, "ready": backend_ok, "slots": slots}));
            let (_, title) = page.split_once("<title>").unwrap();
            title.split_once(" \u{b7} ").unwrap().0.to_owned()
        };
        assert_eq!(title(true, true), "ready, 1 of 2 busy");
        assert_eq!(title(true, false), "not ready: backend, 1 of 2 busy");
        assert_eq!(title(false, false), "not healthy: loop, 1 of 2 busy");
    }
}
