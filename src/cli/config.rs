//! `runner config`: what the settings are and where each comes from, and whether they are right.

use std::io::Write;

use serde_json::json;

use crate::config::origin::{Origin, Value};
use crate::config::{Config, Given, Settings};

/// Where the comments stand at the latest; a line that is longer pushes its own away.
const WIDEST: usize = 60;

/// What `runner config` can do.
#[derive(Debug, clap::Subcommand)]
pub enum ConfigCommand {
    /// Print every setting, and where its value comes from
    Show {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say in one line whether the settings are right; exits with 0 or 2
    Check,
}

/// What it says of `settings`, which were `given`. Those that are wrong by themselves have been refused before.
pub fn run(command: &ConfigCommand, settings: &Settings, given: &Given) -> anyhow::Result<String> {
    match command {
        ConfigCommand::Show { json: true } => {
            let all: Vec<_> = given.values.iter().map(as_json).collect();
            Ok(serde_json::to_string_pretty(&all)? + "\n")
        }
        ConfigCommand::Show { json: false } => Ok(show(&given.values)),
        ConfigCommand::Check => {
            Config::check_ahead(settings)?;
            for warning in &given.warnings {
                // Nobody is left to be told where that fails.
                writeln!(std::io::stderr(), "runner: warning: {warning}").ok();
            }
            Ok(format!("the settings are right: {}\n", summary(settings, &given.values)))
        }
    }
}

/// A file of settings, with where each comes from as a comment.
fn show(values: &[Value]) -> String {
    let lines: Vec<_> = values.iter().map(|value| (line(value), &value.origin)).collect();
    let widths = lines.iter().map(|(line, _)| line.chars().count());
    let width = widths.filter(|width| *width <= WIDEST).max().unwrap_or(0);
    lines.iter().fold(String::new(), |all, (line, origin)| all + &format!("{line:<width$}  # {origin}\n"))
}

/// `key = value` as a file would have it; a comment where a file cannot.
fn line(value: &Value) -> String {
    let key = &value.key;
    match value.values.as_slice() {
        _ if value.secret => format!("# {key} = ***"),
        [] if value.several => format!("{key} = []"),
        // As a comment: a file with it would not follow the rule any more.
        [] => match (&value.by_rule, &value.otherwise) {
            (Some(words), _) => format!("# {key} = {}", quoted(words)),
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

/// A value as TOML has it.
fn quoted(text: &String) -> String {
    let plain = text == "true"
        || text == "false"
        || text.parse::<u64>().is_ok_and(|number| number.to_string() == *text);
    // JSON's texts are TOML's too.
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

/// How many come from where.
fn summary(settings: &Settings, values: &[Value]) -> String {
    let count = |which: fn(&Origin) -> bool| values.iter().filter(|value| which(&value.origin)).count();
    let file = count(|origin| matches!(origin, Origin::File(_)));
    let path = settings.config.as_ref().map(|path| path.display().to_string());
    let environment = count(|origin| matches!(origin, Origin::Environment(_)));
    let flags = count(|origin| matches!(origin, Origin::Flag));
    let by_file = path.map_or("no file".to_owned(), |path| format!("{file} by {path}"));
    format!("{flags} by flags, {environment} by the environment, {by_file}, the others by default")
}
