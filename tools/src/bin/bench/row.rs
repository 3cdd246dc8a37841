//! A row of the table: a figure, its limit, the measured value, and whether the value is within the limit.

use std::collections::BTreeMap;

use serde::Serialize;
use tools::print_line;

/// Outcome of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// Within the limit.
    Ok,
    /// Over the limit.
    Over,
    /// There is no limit.
    Info,
    /// Could not be measured on this machine.
    Skipped,
}

/// A measured figure.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    figure: String,
    limit: String,
    measured: String,
    /// The numbers behind `measured`; the names end with the unit.
    values: BTreeMap<&'static str, f64>,
    outcome: Outcome,
    /// Whether the value does not depend on the machine.
    machine_independent: bool,
}

impl Row {
    /// A figure without a limit.
    pub(crate) fn new(figure: impl Into<String>, measured: impl Into<String>) -> Self {
        Self {
            figure: figure.into(),
            limit: String::new(),
            measured: measured.into(),
            values: BTreeMap::new(),
            outcome: Outcome::Info,
            machine_independent: false,
        }
    }

    /// A figure that cannot be measured on this machine. Also prints the reason.
    pub(crate) fn skipped(figure: impl Into<String>, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        print_line(format!("SKIPPED: {reason}"));
        Self { outcome: Outcome::Skipped, ..Self::new(figure, format!("SKIPPED: {reason}")) }
    }

    /// Adds a limit, and whether the value is within it.
    pub(crate) fn limit(mut self, limit: impl Into<String>, within: bool) -> Self {
        self.limit = limit.into();
        self.outcome = if within { Outcome::Ok } else { Outcome::Over };
        self
    }

    /// Adds a number for the JSON file.
    pub(crate) fn value(mut self, name: &'static str, value: f64) -> Self {
        self.values.insert(name, (value * 1e4).round() / 1e4);
        self
    }

    /// Marks the value as independent of the machine: the bench fails if it is over the limit.
    pub(crate) fn machine_independent(mut self) -> Self {
        self.machine_independent = true;
        self
    }

    /// Whether the row fails the bench.
    pub(crate) fn fails(&self) -> bool {
        self.machine_independent && self.outcome == Outcome::Over
    }

    /// The cells of the text table.
    pub(crate) fn cells(&self) -> [String; 4] {
        let outcome = match self.outcome {
            Outcome::Ok => "ok",
            Outcome::Over if self.machine_independent => "OVER",
            Outcome::Over => "over",
            Outcome::Info => "",
            Outcome::Skipped => "skipped",
        };
        [self.figure.clone(), self.limit.clone(), self.measured.clone(), outcome.to_owned()]
    }
}
