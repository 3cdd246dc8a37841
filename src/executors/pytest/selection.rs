//! The selection of tests by name, with pytest's option `-k`.

use std::borrow::Cow;

/// The expression for `-k` that selects the test `name`. `-k` matches the name of a test and the names of its module and
/// class, but not the joined form of a report: `test_module.TestClass::test_case[1]`.
pub(super) fn keyword(name: &str) -> Cow<'_, str> {
    let (path, parameters) = name.split_at(name.find('[').unwrap_or(name.len()));
    let Some((place, case)) = path.rsplit_once("::").filter(|(_, case)| !case.is_empty()) else {
        return Cow::Borrowed(name);
    };
    let parts =
        place.split(['.', '/', ':']).filter(|part| !matches!(*part, "" | "py" | "and" | "or" | "not"));
    let parts: Vec<_> = parts.chain([case]).collect();
    Cow::Owned(parts.join(" and ") + parameters)
}

/// Why `-k` would not read `name` as the name of a test; `None` if it would.
pub(super) fn unselectable(name: &str) -> Option<String> {
    // Words of pytest's expressions consist of letters, digits, `_` and these characters.
    let wrong = name.chars().find(|&c| !(c.is_alphanumeric() || "_:+-.[]\\/".contains(c)));
    let why = match wrong {
        _ if name.is_empty() => "it is empty".to_owned(),
        _ if matches!(name.rsplit("::").next(), Some("and" | "or" | "not")) => {
            "it is an operator of `-k`".to_owned()
        }
        _ if name.starts_with('-') => "it begins with a dash".to_owned(),
        Some(c) if c.is_whitespace() => "it contains a space".to_owned(),
        Some(c) => format!("it contains {c:?}"),
        None => return None,
    };
    Some(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyword_accepts_names_of_reports() {
        for (name, found) in [
            ("test_a[x::y]", "test_a[x::y]"),
            ("test_s::test_a", "test_s and test_a"),
            ("sub.test_s.TestAll::test_a[1.5::2]", "sub and test_s and TestAll and test_a[1.5::2]"),
            ("tests/test_s.py::TestAll::test_a", "tests and test_s and TestAll and test_a"),
            ("test_s::", "test_s::"),
            ("::test_a", "test_a"),
        ] {
            assert_eq!(keyword(name), found, "{name}");
        }
    }

    #[test]
    fn refuses_names_that_are_expressions() {
        for name in ["test_a", "test_a[2-SIGINT]", "тест", "a::b", "tests/x.py"] {
            assert_eq!(unselectable(name), None, "{name}");
        }
        for name in ["", "and", "x::or", "a b", "a(b)", "-x", "a or b", "a,b", "a\nb"] {
            assert!(unselectable(name).is_some(), "{name}");
        }
    }
}
