//! The table: a figure, its bar, what was measured, and whether that is within.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::machine::Machine;
use crate::stages::Stages;

/// What a row comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// Within its bar.
    Ok,
    /// Not.
    Over,
    /// It has no bar.
    Told,
    /// Something is missing here to measure it.
    Skipped,
}

/// A figure.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    figure: String,
    bar: String,
    measured: String,
    /// The numbers behind `measured`; the names end with the unit.
    values: BTreeMap<&'static str, f64>,
    verdict: Verdict,
    /// Whether the machine has no say in it.
    by_design: bool,
}

impl Row {
    /// A figure without a bar.
    pub(crate) fn told(figure: impl Into<String>, measured: impl Into<String>) -> Self {
        Self {
            figure: figure.into(),
            bar: String::new(),
            measured: measured.into(),
            values: BTreeMap::new(),
            verdict: Verdict::Told,
            by_design: false,
        }
    }

    /// One that could not be measured, and why.
    pub(crate) fn skipped(figure: impl Into<String>, why: impl Into<String>) -> Self {
        let why = why.into();
        crate::common::say(format!("SKIPPED: {why}"));
        Self { verdict: Verdict::Skipped, ..Self::told(figure, format!("SKIPPED: {why}")) }
    }

    /// With a bar, and whether it is held.
    pub(crate) fn bar(mut self, bar: impl Into<String>, held: bool) -> Self {
        self.bar = bar.into();
        self.verdict = if held { Verdict::Ok } else { Verdict::Over };
        self
    }

    /// With a number for those who compare.
    pub(crate) fn value(mut self, name: &'static str, value: f64) -> Self {
        self.values.insert(name, (value * 1e4).round() / 1e4);
        self
    }

    /// The machine has no say in it.
    pub(crate) fn by_design(mut self) -> Self {
        self.by_design = true;
        self
    }
}

/// All rows.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Table {
    pub(crate) machine: Option<Machine>,
    pub(crate) rows: Vec<Row>,
    pub(crate) stages: Vec<Stages>,
}

impl Table {
    /// Whether a row is over in which the machine has no say.
    pub(crate) fn over_by_design(&self) -> bool {
        self.rows.iter().any(|row| row.by_design && row.verdict == Verdict::Over)
    }

    /// For people, and for a page.
    pub(crate) fn text(&self) -> String {
        let cells: Vec<[String; 4]> = self.rows.iter().map(cells).collect();
        let mut text = grid(["figure", "bar", "measured", ""], &cells);
        for stages in &self.stages {
            // Writing to a String does not fail.
            let _ = write!(text, "\n{}", stages.text());
        }
        if let Some(machine) = &self.machine {
            let _ = write!(text, "\n{}", machine.text());
        }
        text
    }

    /// For programs.
    pub(crate) fn json(&self) -> Result<String, String> {
        serde_json::to_string_pretty(self).map_err(|error| error.to_string())
    }
}

fn cells(row: &Row) -> [String; 4] {
    let verdict = match (row.verdict, row.by_design) {
        (Verdict::Ok, _) => "ok",
        (Verdict::Over, false) => "over",
        (Verdict::Over, true) => "OVER",
        (Verdict::Told, _) => "",
        (Verdict::Skipped, _) => "skipped",
    };
    [row.figure.clone(), row.bar.clone(), row.measured.clone(), verdict.to_owned()]
}

/// A table in Markdown whose columns also stand below each other.
pub(crate) fn grid<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].chars().count(), 3]).max().unwrap_or(3)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |cells: [&str; N]| {
        let cells = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
    };
    let rule = widths.map(|width| "-".repeat(width));
    let mut text = line(head) + &line(rule.each_ref().map(String::as_str));
    for row in rows {
        text += &line(row.each_ref().map(String::as_str));
    }
    text
}
