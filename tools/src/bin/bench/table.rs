//! The whole output of the bench: rows, breakdowns, machine.

use std::fmt::Write as _;

use serde::Serialize;

use crate::breakdown::Breakdown;
use crate::machine::Machine;
use crate::markdown;
use crate::row::Row;

/// The output of the bench.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Table {
    pub(crate) machine: Option<Machine>,
    pub(crate) rows: Vec<Row>,
    pub(crate) breakdowns: Vec<Breakdown>,
}

impl Table {
    /// Whether a machine-independent row is over its limit.
    pub(crate) fn fails(&self) -> bool {
        self.rows.iter().any(Row::fails)
    }

    /// The output as Markdown.
    pub(crate) fn text(&self) -> String {
        let cells: Vec<[String; 4]> = self.rows.iter().map(Row::cells).collect();
        let mut text = markdown::table(["figure", "limit", "measured", ""], &cells);
        for breakdown in &self.breakdowns {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n{}", breakdown.text());
        }
        if let Some(machine) = &self.machine {
            let _ = write!(text, "\n{}", machine.text());
        }
        text
    }

    /// The output as JSON.
    ///
    /// # Errors
    /// Returns a message if the serialization fails.
    pub(crate) fn json(&self) -> Result<String, String> {
        serde_json::to_string_pretty(self).map_err(|error| error.to_string())
    }
}
