//! Prometheus' text format (version 0.0.4).

use std::fmt::Write as _;

/// What all names begin with, but for those of the process, which are the same in every program.
const PREFIX: &str = "ostest_runner_";

/// A page of metrics in the making.
#[derive(Debug, Default)]
pub struct Text(String);

impl Text {
    /// The page.
    pub fn finish(self) -> String {
        self.0
    }

    /// Begins the metric `name` (without the prefix).
    pub fn head(&mut self, name: &str, kind: &str, help: &str) {
        let name = full(name);
        // Writing to a string cannot fail.
        write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n").ok();
    }

    /// A value of a metric.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.line(name, labels, &value.to_string());
    }

    /// A value of a metric that is a whole number.
    pub fn count(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        self.line(name, labels, &value.to_string());
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: &str) {
        self.0.push_str(&full(name));
        for (at, (label, text)) in labels.iter().enumerate() {
            let before = if at == 0 { '{' } else { ',' };
            write!(self.0, "{before}{label}=\"{}\"", escape(text)).ok();
        }
        let end = if labels.is_empty() { "" } else { "}" };
        writeln!(self.0, "{end} {value}").ok();
    }
}

fn full(name: &str) -> String {
    if name.starts_with("process_") { name.to_owned() } else { format!("{PREFIX}{name}") }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut text = Text::default();
        text.sample("x", &[("a", "q\"b\\s\nn"), ("b", "")], 1.5);
        text.count("process_y", &[], 7);
        assert_eq!(text.finish(), "ostest_runner_x{a=\"q\\\"b\\\\s\\nn\",b=\"\"} 1.5\nprocess_y 7\n");
    }
}
