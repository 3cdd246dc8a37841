//! Names and descriptions of events, as the reader of JUnit reports writes them: the two are compared, and either may
//! be what a student sees.

use report::{Outcome, case_name};
use text::clean;

/// The name of a case from `classname::name`, as `junit` makes it from the two attributes. A class has no `::` in it.
pub(super) fn of_event(told: &str) -> String {
    let (class, name) = told.split_once("::").unwrap_or(("", told));
    case_name(class, name)
}

/// The description of a case, of which nothing is said if it passed.
pub(super) fn description(told: &str, outcome: Outcome) -> String {
    let told = clean(told);
    match (without_blank_ends(&told), outcome) {
        (_, Outcome::Passed) => "",
        ("", Outcome::Errored) => "error",
        ("", Outcome::Failed) => "failed",
        ("", Outcome::Skipped) => "skipped",
        (told, _) => told,
    }
    .to_owned()
}

/// Without blank lines before and white space behind; the indentation of the first line stays.
fn without_blank_ends(text: &str) -> &str {
    let text = text.trim_end();
    let indent = text.len() - text.trim_start().len();
    text[..indent].rfind('\n').map_or(text, |at| &text[at + 1..])
}
