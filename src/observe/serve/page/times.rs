//! The times of a task as a bar.

use std::fmt::Write as _;

use serde_json::Value;

use super::html::{duration, text};

/// What a task passes through, in order; the keys of `times` in the status.
const ORDER: [&str; 6] = ["claim", "checkout", "prepare", "execute", "report", "deliver"];

/// Width of the longest bar.
const WIDTH: f64 = 120.0;

/// The times of `task` in order. The delivery is in `times` under no key, but in `delivery.seconds`.
fn of(task: &Value) -> impl Iterator<Item = (&'static str, &Value)> {
    let (times, delivery) = (&task["times"], &task["delivery"]["seconds"]);
    ORDER.into_iter().filter_map(move |name| match name {
        "deliver" if delivery.is_number() => Some((name, delivery)),
        name => Some((name, times.get(name)?)),
    })
}

/// The seconds that `task` took, its delivery included.
pub(super) fn total(task: &Value) -> f64 {
    of(task).filter_map(|(_, seconds)| seconds.as_f64()).sum()
}

/// A bar of the times of `task`, each with its name and time as a tooltip; `longest` seconds fill the whole width.
pub(super) fn bar(task: &Value, longest: f64) -> String {
    let mut bar = format!("<svg viewBox=\"0 0 {WIDTH} 7\" preserveAspectRatio=\"none\">");
    let mut at = 0.0;
    for (name, seconds) in of(task) {
        let width = seconds.as_f64().unwrap_or_default() / longest.max(0.001) * WIDTH;
        // Writing to a string cannot fail.
        write!(
            bar,
            "<rect class=\"{name}\" x=\"{at:.2}\" width=\"{width:.2}\" height=\"7\"><title>{name} {}</title></rect>",
            duration(seconds),
        )
        .ok();
        at += width;
    }
    bar + "</svg>"
}

/// The times of `task` as words: `checkout 0.1 s, execute 2.0 s`.
pub(super) fn words(task: &Value) -> String {
    of(task).map(|(name, seconds)| format!("{name} {}", duration(seconds))).collect::<Vec<_>>().join(", ")
}

/// The colours of the bars.
pub(super) fn legend() -> String {
    let each = ORDER.map(|name| format!("<span class=\"{name}\">\u{25a0}</span> {}", text(&name.into())));
    format!("<p class=\"dim\">{}</p>\n", each.join(" \u{a0} "))
}
