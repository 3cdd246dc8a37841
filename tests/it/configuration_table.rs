//! Holds the tables of `docs/configuration.md` equal to the command line that clap declares.
//!
//! `UPDATE=1 cargo test --test it configuration_table` writes them.

use std::fmt::Write as _;
use std::fs;

use clap::{Arg, Command};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
const BEGIN: &str = "<!-- generated: UPDATE=1 cargo test --test it configuration_table -->\n";
const END: &str = "<!-- end of what is generated -->\n";

#[test]
fn configuration_page_matches_clap() {
    let page = fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page has the mark that begins the tables");
    let (found, after) = rest.split_once(END).expect("the page has the mark that ends the tables");
    let expected = tables(&ostest_runner::cli::command());
    if std::env::var_os("UPDATE").is_some() {
        fs::write(PAGE, format!("{before}{BEGIN}{expected}{END}{after}")).unwrap();
        return;
    }
    assert!(
        found == expected,
        "docs/configuration.md differs from the options that clap declares:\n{}\n\
         Write it anew: UPDATE=1 cargo test --test it configuration_table",
        difference(found, &expected)
    );
}

#[test]
fn variable_names_follow_the_option() {
    for argument in ostest_runner::cli::command().get_arguments().filter(|argument| documented(argument)) {
        let option = argument.get_long().unwrap();
        let variable = format!("RUNNER_{}", option.replace('-', "_").to_uppercase());
        assert_eq!(argument.get_env().unwrap(), variable.as_str(), "--{option}");
    }
}

/// Whether the page has this argument: clap's own and the hidden ones are left out.
fn documented(argument: &Arg) -> bool {
    !argument.is_hide_set() && !["help", "version"].contains(&argument.get_id().as_str())
}

/// All tables: the settings by heading, then the arguments of each subcommand.
fn tables(command: &Command) -> String {
    let arguments: Vec<_> = command.get_arguments().filter(|argument| documented(argument)).collect();
    let mut headings: Vec<&str> = Vec::new();
    for argument in &arguments {
        let heading = argument.get_help_heading().expect("a setting has a heading");
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    let mut out = String::new();
    for heading in headings {
        write!(out, "\n### {heading}\n\n").unwrap();
        table(
            &mut out,
            arguments.iter().copied().filter(|argument| argument.get_help_heading() == Some(heading)),
        );
    }
    out.push_str("\n## Arguments of the subcommands\n");
    subcommands(&mut out, "runner", command);
    out.push('\n');
    out
}

fn subcommands(out: &mut String, path: &str, command: &Command) {
    for each in command.get_subcommands() {
        let path = format!("{path} {}", each.get_name());
        let arguments: Vec<_> = each.get_arguments().filter(|argument| documented(argument)).collect();
        if !each.has_subcommands() {
            write!(out, "\n### `{path}`\n\n{}.\n", each.get_about().unwrap_or_default()).unwrap();
            if !arguments.is_empty() {
                out.push('\n');
                table(out, arguments.into_iter());
            }
        }
        subcommands(out, &path, each);
    }
}

fn table<'a>(out: &mut String, arguments: impl Iterator<Item = &'a Arg>) {
    out.push_str("| option | meaning | default |\n| --- | --- | --- |\n");
    for argument in arguments {
        let (meaning, default) = meaning(argument);
        writeln!(out, "| `{}` | {} | {} |", cell(&usage(argument)), cell(&meaning), cell(&default)).unwrap();
    }
}

/// `--timeout DURATION`, `--auth[=true|false]`, `--sandbox auto|bwrap|basic|none`, `SRC`.
fn usage(argument: &Arg) -> String {
    let possible = argument.get_possible_values();
    let value = if !argument.get_action().takes_values() {
        String::new()
    } else if possible.is_empty() {
        argument.get_value_names().unwrap_or_default().join(" ")
    } else {
        possible.iter().map(clap::builder::PossibleValue::get_name).collect::<Vec<_>>().join("|")
    };
    match argument.get_long() {
        None => value,
        Some(option) if value.is_empty() => format!("--{option}"),
        Some(option) if argument.is_require_equals_set() => format!("--{option}[={value}]"),
        Some(option) => format!("--{option} {value}"),
    }
}

/// The help with the meaning of each possible value, and the default, which the help may hold as `[default: …]`.
fn meaning(argument: &Arg) -> (String, String) {
    let mut help = argument.get_long_help().or(argument.get_help()).unwrap_or_default().to_string();
    let mut default = argument
        .get_default_values()
        .iter()
        .filter(|_| !argument.is_hide_default_value_set() && argument.get_action().takes_values())
        .map(|value| format!("`{}`", value.to_str().unwrap()))
        .collect::<Vec<_>>()
        .join(", ");
    if let Some((before, rest)) = help.split_once("[default: ") {
        let (text, after) = rest.split_once(']').expect("the note of a default ends");
        (default, help) = (text.to_owned(), format!("{}{after}", before.trim_end()));
    }
    let values: Vec<_> = argument
        .get_possible_values()
        .iter()
        .filter_map(|value| Some(format!("`{}`: {}", value.get_name(), value.get_help()?)))
        .collect();
    if !values.is_empty() {
        help = format!("{}. {}", help.trim_end_matches('.'), values.join("; "));
    }
    (help, default)
}

/// Text for a cell of a table.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', r"\|")
}

/// The lines that only one of the two texts has.
fn difference(found: &str, expected: &str) -> String {
    let only = |text: &str, other: &str, sign: &str| {
        let other: Vec<_> = other.lines().collect();
        let lines = text.lines().filter(|line| !other.contains(line));
        lines.map(|line| sign.to_owned() + line).collect::<Vec<_>>()
    };
    [only(found, expected, "-"), only(expected, found, "+")].concat().join("\n")
}
