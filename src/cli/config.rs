//! `runner config`: shows the settings with their origins, and checks them.

use std::io::Write;

use serde_json::json;

use crate::config::origin::{Origin, Value};
use crate::config::{Config, Given, Settings};

/// The rightmost column in which the comments are aligned; after a longer line its comment follows directly.
const MAX_COLUMN: usize = 60;

/// Subcommands of `runner config`.
#[derive(Debug, clap::Subcommand)]
pub enum ConfigCommand {
    /// Print every setting with the origin of its value
    Show {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Check the settings; exit code 0 or 2
    Check,
}

/// Runs `command` and returns its output. Settings that are wrong by themselves were refused before, by the parser.
///
/// # Errors
/// The settings cannot be used together, or a folder or file that they name is unusable.
pub fn run(command: &ConfigCommand, settings: &Settings, given: &Given) -> anyhow::Result<String> {
    match command {
        ConfigCommand::Show { json: true } => {
            let all: Vec<_> = given.values.iter().map(as_json).collect();
            Ok(serde_json::to_string_pretty(&all)? + "\n")
        }
        ConfigCommand::Show { json: false } => Ok(show(&given.values)),
        ConfigCommand::Check => {
            Config::check_only(settings)?;
            for warning in &given.warnings {
                // If stderr is closed, there is no other place for it.
                writeln!(std::io::stderr(), "runner: warning: {warning}").ok();
            }
            Ok(format!("the settings are right: {}\n", summary(settings, &given.values)))
        }
    }
}

/// The settings as a settings file, with the origin of each as a comment.
fn show(values: &[Value]) -> String {
    let lines: Vec<_> = values.iter().map(|value| (line(value), &value.origin)).collect();
    let widths = lines.iter().map(|(line, _)| line.chars().count());
    let width = widths.filter(|width| *width <= MAX_COLUMN).max().unwrap_or(0);
    lines.iter().fold(String::new(), |all, (line, origin)| all + &format!("{line:<width$}  # {origin}\n"))
}

/// `key = value` as in a settings file; a comment if a file cannot hold the value.
fn line(value: &Value) -> String {
    let key = &value.key;
    match value.values.as_slice() {
        _ if value.secret => format!("# {key} = ***"),
        [] if value.several => format!("{key} = []"),
        // As a comment: a file with this value would override the rule.
        [] => match (&value.by_rule, &value.default_rule) {
            (Some(text), _) => format!("# {key} = {}", quoted(text)),
            (None, Some(rule)) => format!("# {key} is not set: {rule}"),
            (None, None) => format!("# {key} is not set"),
        },
        several if value.several => {
            format!("{key} = [{}]", several.iter().map(quoted).collect::<Vec<_>>().join(", "))
        }
        [one, ..] if key == "config" => format!("# {key} = {}", quoted(one)),
        [one, ..] => format!("{key} = {}", quoted(one)),
    }
}

/// A value in TOML.
fn quoted(text: &String) -> String {
    let plain = text == "true"
        || text == "false"
        || text.parse::<u64>().is_ok_and(|number| number.to_string() == *text);
    // JSON strings are valid in TOML.
    if plain { text.clone() } else { json!(text).to_string() }
}

fn as_json(value: &Value) -> serde_json::Value {
    let shown = match value.values.as_slice() {
        _ if value.secret => json!("***"),
        several if value.several => json!(several),
        [] => json!(value.by_rule),
        [one, ..] => json!(one),
    };
    json!({
        "key": value.key,
        "value": shown,
        "origin": value.origin.to_string(),
        "flag": format!("--{}", value.key.replace('_', "-")),
        "environment": value.environment,
    })
}

/// The number of settings from each origin.
fn summary(settings: &Settings, values: &[Value]) -> String {
    let count = |which: fn(&Origin) -> bool| values.iter().filter(|value| which(&value.origin)).count();
    let file = count(|origin| matches!(origin, Origin::File(_)));
    let path = settings.config.as_ref().map(|path| path.display().to_string());
    let environment = count(|origin| matches!(origin, Origin::Environment(_)));
    let flags = count(|origin| matches!(origin, Origin::Flag));
    let by_file = path.map_or("no file".to_owned(), |path| format!("{file} by {path}"));
    format!("{flags} by flags, {environment} by the environment, {by_file}, the others by default")
}
