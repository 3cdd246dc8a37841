//! Names and descriptions of cases in events, in the form of the reader of JUnit reports, so that the two can be compared.

use report::{Outcome, case_name};
use text::clean;

/// The name of a case from `classname::name`, in the form that `junit` makes from the two attributes. A class name contains
/// no `::`.
pub(super) fn of_event(name: &str) -> String {
    let (class, name) = name.split_once("::").unwrap_or(("", name));
    case_name(class, name)
}

/// The description of a case; empty if it passed.
pub(super) fn description(text: &str, outcome: Outcome) -> String {
    let text = clean(text);
    match (without_blank_ends(&text), outcome) {
        (_, Outcome::Passed) => "",
        ("", Outcome::Errored) => "error",
        ("", Outcome::Failed) => "failed",
        ("", Outcome::Skipped) => "skipped",
        (text, _) => text,
    }
    .to_owned()
}

/// `text` without blank lines at its start and white space at its end. The indentation of the first line stays.
fn without_blank_ends(text: &str) -> &str {
    let text = text.trim_end();
    let indent = text.len() - text.trim_start().len();
    text[..indent].rfind('\n').map_or(text, |at| &text[at + 1..])
}
