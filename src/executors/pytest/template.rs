//! The command line of a suite: a template with placeholders, and presets for the known generations of the suite.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;
use std::str::FromStr;

use super::selection::keyword;
use crate::task::Task;

/// Names of the placeholders, in the order of the help text.
const NAMES: &[&str] =
    &["python", "suite", "src", "report", "tests", "labs", "lab", "lab_names", "proxy_timeout"];

/// The command line that the suite takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Preset {
    /// Look at `run_tests.py --help` once for each commit of the suite
    Auto,
    /// `--lab-num N…`
    LabNum,
    /// `--lab MAX --labs labN…`
    Lab,
}

/// A command line with placeholders. An argument whose value is absent is left out, together with an option before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    arguments: Vec<Vec<Piece>>,
}

/// A part of an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value { name: &'static str, default: Option<String> },
}

/// The values of the placeholders.
#[derive(Debug)]
pub struct Values<'a> {
    /// `{python}`: the interpreter of the suite's environment.
    pub python: &'a Path,
    /// `{suite}`: the task's copy of the suite.
    pub suite: &'a Path,
    /// `{src}`: the checkout of the program under test.
    pub source: &'a Path,
    /// `{report}`: the path at which the suite writes its report.
    pub report: &'a Path,
    /// Its laboratories are `{labs}`, `{lab}` (the highest) and `{lab_names}`.
    pub task: &'a Task,
    /// `{tests}`: the names for `-k`.
    pub tests: &'a [String],
    /// `{proxy_timeout}`: seconds; absent if 0.
    pub proxy_timeout: u64,
}

impl Template {
    /// The command line of a preset. [`Preset::Auto`] chooses by `help`, the output of `run_tests.py --help`.
    pub fn of_preset(preset: Preset, help: &str) -> Self {
        let options: HashSet<&str> =
            help.split(|c: char| !(c.is_alphanumeric() || "-_".contains(c))).collect();
        let labs = match preset {
            Preset::Lab => "--lab {lab|1} --labs {lab_names}",
            Preset::Auto if options.contains("--lab-num") => "--lab-num {labs}",
            Preset::Auto if options.contains("--lab") => "--lab {lab|1} --labs {lab_names}",
            // For two months of its history the suite had only this option.
            Preset::Auto if options.contains("--labs") => "--labs {lab_names}",
            Preset::LabNum | Preset::Auto => "--lab-num {labs}",
        };
        // A text without --src is no help text of a suite; then the documented command line is used.
        let takes_proxy_timeout = !options.contains("--src") || options.contains("--proxy_timeout");
        let proxy = if takes_proxy_timeout { "--proxy_timeout {proxy_timeout}" } else { "" };
        let line = format!(
            "{{python}} run_tests.py --src {{src}} --junit-xml={{report}} -k {{tests}} {labs} {proxy}"
        );
        let arguments = line.split_ascii_whitespace().filter_map(|word| pieces(word).ok()).collect();
        Self { arguments }
    }

    /// The program and its arguments. A list that is a whole argument becomes one argument for each item.
    pub fn expand(&self, values: &Values<'_>) -> Vec<String> {
        let mut line: Vec<String> = Vec::new();
        let mut option_before = false;
        for argument in &self.arguments {
            let before = std::mem::replace(&mut option_before, false);
            match argument.as_slice() {
                [Piece::Value { name, default }] => match values.of(name, default.as_deref()) {
                    None => drop_option(&mut line, before),
                    Some(list) => line.extend(list),
                },
                pieces => match join(pieces, values) {
                    None => drop_option(&mut line, before),
                    Some(word) => {
                        option_before = word.starts_with('-')
                            && !word.contains('=')
                            && pieces.iter().all(|piece| matches!(piece, Piece::Text(_)));
                        line.push(word);
                    }
                },
            }
        }
        line
    }
}

/// Removes the option before an absent value.
fn drop_option(line: &mut Vec<String>, option_before: bool) {
    if option_before {
        line.pop();
    }
}

/// The argument made of `pieces`; `None` if a value is absent.
fn join(pieces: &[Piece], values: &Values<'_>) -> Option<String> {
    let mut word = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => word.push_str(text),
            Piece::Value { name, default } => {
                write!(word, "{}", values.of(name, default.as_deref())?.join(",")).ok()?;
            }
        }
    }
    Some(word)
}

impl Values<'_> {
    /// The value of the placeholder `name`, or else `default`; `None` if both are absent.
    fn of(&self, name: &str, default: Option<&str>) -> Option<Vec<String>> {
        let path = |path: &Path| vec![path.display().to_string()];
        let labs = &self.task.laboratories;
        let value = match name {
            "python" => path(self.python),
            "suite" => path(self.suite),
            "src" => path(self.source),
            "report" => path(self.report),
            "tests" if !self.tests.is_empty() => {
                vec![self.tests.iter().map(|name| keyword(name)).collect::<Vec<_>>().join(" or ")]
            }
            "labs" => labs.iter().map(u32::to_string).collect(),
            "lab" => labs.iter().max().map(u32::to_string).into_iter().collect(),
            "lab_names" => labs.iter().map(|lab| format!("lab{lab}")).collect(),
            "proxy_timeout" if self.proxy_timeout > 0 => vec![self.proxy_timeout.to_string()],
            _ => Vec::new(),
        };
        if value.is_empty() { default.map(|text| vec![text.to_owned()]) } else { Some(value) }
    }
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words = shlex::split(text).ok_or("expected a command line; a quote is not closed")?;
        if words.is_empty() {
            return Err(
                "expected a command line, such as \"{python} run_tests.py --src {src} --junit-xml={report}\""
                    .into(),
            );
        }
        let arguments: Vec<_> = words.iter().map(|word| pieces(word)).collect::<Result<_, _>>()?;
        let has = |wanted: &str| {
            arguments
                .iter()
                .flatten()
                .any(|piece| matches!(piece, Piece::Value { name, .. } if *name == wanted))
        };
        match ["src", "report"].into_iter().find(|name| !has(name)) {
            Some(name) => Err(format!("expected {{{name}}} somewhere in the command line")),
            None => Ok(Self { arguments }),
        }
    }
}

/// Parses one argument of a template.
fn pieces(word: &str) -> Result<Vec<Piece>, String> {
    let mut found = Vec::new();
    let mut text = String::new();
    let mut rest = word;
    while let Some(at) = rest.find(['{', '}']) {
        text.push_str(&rest[..at]);
        let brace = &rest[at..];
        if brace.starts_with("{{") || brace.starts_with("}}") {
            text.push_str(&brace[..1]);
            rest = &brace[2..];
            continue;
        }
        let end = brace
            .find('}')
            .filter(|&end| end > 0)
            .ok_or("a brace is not closed; write {{ or }} for a literal brace")?;
        let inner = &brace[1..end];
        let (name, default) =
            inner.split_once('|').map_or((inner, None), |(name, text)| (name, Some(text.to_owned())));
        let name = NAMES.iter().copied().find(|known| *known == name).ok_or_else(|| {
            format!("{{{name}}} is not a placeholder; the placeholders are {{{}}}", NAMES.join("}, {"))
        })?;
        if !text.is_empty() {
            found.push(Piece::Text(std::mem::take(&mut text)));
        }
        found.push(Piece::Value { name, default });
        rest = &brace[end + 1..];
    }
    text.push_str(rest);
    if !text.is_empty() || found.is_empty() {
        found.push(Piece::Text(text));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::TaskId;

    fn task(laboratories: &[u32], tests: &[&str]) -> Task {
        Task {
            id: TaskId::new(serde_json::value::RawValue::from_string("1".to_owned()).unwrap()),
            repository_url: String::new(),
            branch: None,
            laboratories: laboratories.to_vec(),
            tests: tests.iter().map(ToString::to_string).collect(),
        }
    }

    fn expand(template: &Template, task: &Task, proxy_timeout: u64) -> String {
        let path = Path::new;
        let values = Values {
            python: path("PY"),
            suite: path("SUITE"),
            source: path("SRC"),
            report: path("XML"),
            task,
            tests: &task.tests,
            proxy_timeout,
        };
        template.expand(&values).join("|")
    }

    #[test]
    fn presets_give_two_command_lines() {
        let lab_num = Template::of_preset(Preset::LabNum, "");
        let lab = Template::of_preset(Preset::Lab, "");
        let bare = task(&[], &[]);
        let full = task(&[1, 2], &["test_a[2-SIGINT]", "test_b"]);
        assert_eq!(expand(&lab_num, &bare, 0), "PY|run_tests.py|--src|SRC|--junit-xml=XML");
        assert_eq!(
            expand(&lab_num, &full, 10),
            "PY|run_tests.py|--src|SRC|--junit-xml=XML|-k|test_a[2-SIGINT] or test_b|--lab-num|1|2|--proxy_timeout|10"
        );
        assert_eq!(expand(&lab, &bare, 0), "PY|run_tests.py|--src|SRC|--junit-xml=XML|--lab|1");
        assert_eq!(
            expand(&lab, &full, 0),
            "PY|run_tests.py|--src|SRC|--junit-xml=XML|-k|test_a[2-SIGINT] or test_b|--lab|2|--labs|lab1|lab2"
        );
    }

    #[test]
    fn auto_follows_the_help_text() {
        let task = task(&[1, 2], &[]);
        for (help, line) in [
            ("", "--lab-num|1|2|--proxy_timeout|3"),
            ("usage: pytest [options]\n  --src=SRC\n  --lab-num=LAB_NUM --lab", "--lab-num|1|2"),
            (
                "usage: x [-h] --src SRC --lab {1,2,3,4} [--proxy_timeout T]\n [--labs [LABS ...]]",
                "--lab|2|--labs|lab1|lab2|--proxy_timeout|3",
            ),
            ("usage: x [-h] [--src SRC] [--labs [LABS ...]]", "--labs|lab1|lab2"),
        ] {
            let line = format!("PY|run_tests.py|--src|SRC|--junit-xml=XML|{line}");
            assert_eq!(expand(&Template::of_preset(Preset::Auto, help), &task, 3), line, "{help}");
        }
    }

    #[test]
    fn free_command_line_loses_absent_options_only() {
        let template: Template =
            "{python} -m pytest {src} --junitxml {report} -q -k {tests} --opt=lab{lab} '{{x}}'"
                .parse()
                .unwrap();
        assert_eq!(expand(&template, &task(&[], &[]), 0), "PY|-m|pytest|SRC|--junitxml|XML|-q|{x}");
        assert_eq!(
            expand(&template, &task(&[3, 1], &["a"]), 0),
            "PY|-m|pytest|SRC|--junitxml|XML|-q|-k|a|--opt=lab3|{x}"
        );
    }

    #[test]
    fn wrong_template_names_placeholders() {
        for (text, message) in [
            ("", "expected a command line"),
            ("a 'b", "quote"),
            ("x {src} {report} {nope}", "{nope} is not a placeholder; the placeholders are {python}"),
            ("x {src}", "{report}"),
            ("x {src} {report} }", "brace"),
            ("x {src} {report} {", "brace"),
        ] {
            let error = text.parse::<Template>().unwrap_err();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
