//! `--log-format json`: one JSON object per line, with the fields of the event and of its spans. The name of the span
//! precedes a span's field, so that a task's id is `task.id` in each line. docs/metrics.md keeps the names.

use std::borrow::Cow;
use std::fmt::{Debug, Write as _};
use std::io::Write;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::level::Level;

/// A layer that writes each event to its writer.
pub(super) struct Json<W>(pub(super) W);

/// The fields of a span.
struct SpanFields(Map<String, Value>);

impl<S, W> Layer<S> for Json<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::with_prefix(span.name());
        attributes.record(&mut fields);
        span.extensions_mut().insert(SpanFields(fields.found));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::with_prefix(span.name());
        values.record(&mut fields);
        if let Some(recorded) = span.extensions_mut().get_mut::<SpanFields>() {
            recorded.0.extend(fields.found);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = Map::new();
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(recorded) = span.extensions().get::<SpanFields>() {
                line.extend(recorded.0.clone());
            }
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        line.extend(fields.found);
        // These names are reserved: a field of the event with one of them moves to `field.NAME`.
        let name = event_name(event.metadata());
        for (name, value) in name.into_iter().chain([("level", level(event)), ("timestamp", now())]) {
            if let Some(other) = line.insert(name.to_owned(), value.into()) {
                line.insert(format!("field.{name}"), other);
            }
        }
        let mut text = escaped(&Value::Object(line).to_string()).into_owned();
        text.push('\n');
        // A failed write cannot be logged.
        self.0.make_writer_for(event.metadata()).write_all(text.as_bytes()).ok();
    }
}

/// Escapes DEL and the control characters above ASCII, which JSON allows in strings and a terminal would obey.
fn escaped(json: &str) -> Cow<'_, str> {
    let is_raw = |c: char| matches!(c, '\x7f'..='\u{9f}');
    if !json.contains(is_raw) {
        return Cow::Borrowed(json);
    }
    // In valid JSON they are only in strings.
    let mut out = String::with_capacity(json.len() + 8);
    for c in json.chars() {
        if is_raw(c) {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// The field `event` with the name of an event, for programs. Tracing names an event without one by its place in the
/// source; such an event has no field.
fn event_name(meta: &Metadata<'_>) -> Option<(&'static str, String)> {
    (!meta.name().starts_with("event ")).then(|| ("event", meta.name().to_owned()))
}

fn level(event: &Event<'_>) -> String {
    Level::of(event.metadata()).name().to_owned()
}

fn now() -> String {
    let mut text = String::new();
    SystemTime.format_time(&mut Writer::new(&mut text)).ok();
    text
}

/// Collects fields as JSON.
#[derive(Default)]
struct Fields {
    /// Precedes each name: empty, or the name of a span and a dot.
    prefix: String,
    found: Map<String, Value>,
}

impl Fields {
    fn with_prefix(span: &str) -> Self {
        Self { prefix: format!("{span}."), found: Map::new() }
    }

    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        let name = field.name();
        // A span may use the full name for its field, as events outside of it do.
        let prefix = if name.starts_with(&self.prefix) { "" } else { &self.prefix };
        self.found.insert(format!("{prefix}{name}"), value.into());
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = format!("{value:?}");
        match seconds(&text) {
            Some(seconds) => self.put(field, seconds),
            None if text == "None" => self.put(field, Value::Null),
            None => self.put(field, text),
        }
    }
}

/// The seconds of a duration that `Debug` formatted, such as `1.5ms` or `Some(2s)`; `None` for any other text.
fn seconds(text: &str) -> Option<f64> {
    let text = text.strip_prefix("Some(").and_then(|text| text.strip_suffix(')')).unwrap_or(text);
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(split);
    let unit = match unit {
        "s" => 1.0,
        "ms" => 1e-3,
        "µs" => 1e-6,
        "ns" => 1e-9,
        _ => return None,
    };
    // Rounds to a nanosecond, the precision of a duration.
    number.parse::<f64>().ok().map(|number| (number * unit * 1e9).round() / 1e9)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn escapes_control_characters_losslessly() {
        let text: String = (0..0x100).filter_map(char::from_u32).chain("é\u{2028}".chars()).collect();
        let json = Value::from(text.clone()).to_string();
        let escaped = escaped(&json);
        assert!(!escaped.chars().any(char::is_control), "{escaped}");
        assert!(
            escaped.contains("\\u007f") && escaped.contains("\\u009b") && escaped.contains('é'),
            "{escaped}"
        );
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
    }

    #[test]
    fn durations_become_seconds_and_nothing_else_does() {
        for duration in [Duration::ZERO, Duration::from_nanos(1_500), Duration::from_millis(1_234)] {
            assert_eq!(seconds(&format!("{duration:?}")), Some(duration.as_secs_f64()), "{duration:?}");
            assert_eq!(seconds(&format!("{:?}", Some(duration))), Some(duration.as_secs_f64()));
        }
        for other in ["", "5", "s", "1.2.3s", "5 s", "main", "Some(main)", "-1s", "5m"] {
            assert_eq!(seconds(other), None, "{other}");
        }
    }
}
