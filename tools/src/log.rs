//! Parses the log of a runner with `--log-format json`. `docs/metrics.md` describes its fields and events.

use serde::Deserialize;

/// A line of the log.
#[derive(Debug, Deserialize)]
pub struct LogLine {
    timestamp: String,
    /// Name of the event.
    pub event: Option<String>,
    /// Id of the task, for events of a task.
    #[serde(rename = "task.id")]
    pub task_id: Option<String>,
    /// Duration of the event in seconds.
    pub elapsed: Option<f64>,
    /// The field `level` of an event, such as the sandbox level of `sandbox_chosen`.
    #[serde(rename = "field.level")]
    pub level: Option<String>,
}

impl LogLine {
    /// Parses a log. Omits lines that are not JSON, such as the message of a panic.
    pub fn parse_all(log: &str) -> Vec<Self> {
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Whether the line is of this event.
    pub fn is(&self, event: &str) -> bool {
        self.event.as_deref() == Some(event)
    }

    /// The time of the line in seconds since midnight (UTC); `None` if the timestamp has another form.
    pub fn second_of_day(&self) -> Option<f64> {
        let time = self.timestamp.split_once('T')?.1.strip_suffix('Z')?;
        let mut parts = time.splitn(3, ':').map(|part| part.parse::<f64>().ok());
        Some(parts.next()?? * 3600.0 + parts.next()?? * 60.0 + parts.next()??)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_json_lines_only() {
        let log = "thread 'main' panicked at src/main.rs:1\n\
            {\"timestamp\":\"2025-01-31T01:02:03.500000Z\",\"level\":\"debug\",\"event\":\"result_delivered\",\
            \"message\":\"delivered\",\"task.id\":\"a\",\"elapsed\":0.00125,\"attempts\":1}\n";
        let lines = LogLine::parse_all(log);
        let [line] = &lines[..] else { panic!("{lines:?}") };
        assert!(line.is("result_delivered") && !line.is("task_ended"));
        assert_eq!((line.task_id.as_deref(), line.elapsed), (Some("a"), Some(0.001_25)));
        assert!((line.second_of_day().unwrap() - 3723.5).abs() < 1e-9);
    }
}
