//! Suggests settings for a name that is not a setting.

use strsim::osa_distance;

/// Largest number of suggestions.
const MAX_SUGGESTIONS: usize = 3;

/// Two words that share a prefix of this many letters are similar: `logging` and `logger`.
const COMMON_PREFIX: usize = 4;

/// The names in `known` that are most similar to `name`, in the order of `known`. `name` may be a variable or an option
/// (`RUNNER_TIMEOUT`, `Time-Out`). Empty if none is similar.
pub(super) fn nearest<'a>(known: &'a [String], name: &str) -> Vec<&'a str> {
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let name = plain(name);
    if let Some(key) = misspelt(&known, &name) {
        return vec![key];
    }
    let scored: Vec<_> = known.iter().map(|key| (score(key, &name), *key)).collect();
    let best = scored.iter().map(|(score, _)| *score).max().unwrap_or_default();
    let best = scored.into_iter().filter(|(score, _)| *score == best && score.0 > 0);
    best.map(|(_, key)| key).take(MAX_SUGGESTIONS).collect()
}

/// The name in `known` that differs from `name` by a letter or two.
pub(super) fn misspelt<'a>(known: &[&'a str], name: &str) -> Option<&'a str> {
    let name = plain(name);
    let by_letters = known.iter().map(|key| (osa_distance(key, &name), *key));
    let (distance, key) = by_letters.min_by_key(|(distance, _)| *distance)?;
    (distance <= (name.len() / 4).max(1)).then_some(key)
}

/// `did you mean a, b or c?`
pub(super) fn question(nearest: &[&str]) -> Option<String> {
    let (last, others) = nearest.split_last()?;
    Some(match others {
        [] => format!("did you mean {last}?"),
        _ => format!("did you mean {} or {last}?", others.join(", ")),
    })
}

/// The name as a settings file has it: without the prefix of a variable or the dashes of an option.
fn plain(name: &str) -> String {
    let name = name.trim_start_matches('-').replace(['-', '.'], "_").to_lowercase();
    name.strip_prefix("runner_").map(str::to_owned).unwrap_or(name)
}

/// Similarity of `name` and `key` by their words; the second number decides between equals: the part of `key` that `name`
/// covers.
fn score(key: &str, name: &str) -> (usize, usize) {
    let words: Vec<&str> = key.split('_').collect();
    let best = |word: &str| words.iter().map(|own| similarity(own, word)).max().unwrap_or(0);
    let sum: usize = name.split('_').filter(|word| !word.is_empty()).map(best).sum();
    // One word of the key does not count for several words of the name.
    (sum.min(2 * words.len()), 100 * sum.min(1) / words.len())
}

/// 2 if both words are equal, 1 if they share a prefix, otherwise 0.
fn similarity(one: &str, other: &str) -> usize {
    let common = one.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    match common {
        _ if one == other => 2,
        _ if common >= COMMON_PREFIX || (common >= 3 && common == one.len().min(other.len())) => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_letters_and_words() {
        let known = [
            "backend_url",
            "login",
            "login_api",
            "request_timeout",
            "timeout",
            "tests_url",
            "logger_level",
            "logger_output",
            "log_format",
            "listen",
        ]
        .map(str::to_owned);
        for (name, expected) in [
            ("RUNNER_TIMEOUT", &["timeout"][..]),
            ("timout", &["timeout"]),
            ("itmeout", &["timeout"]),
            ("level", &["logger_level"]),
            ("log_level", &["logger_level"]),
            ("url", &["backend_url", "tests_url"]),
            ("logging", &["logger_level", "logger_output", "log_format"]),
            ("back-end-url", &["backend_url"]),
            ("backend_login", &["login"]),
            ("xyzzy", &[]),
            ("lab", &[]),
            ("_", &[]),
            ("", &[]),
        ] {
            assert_eq!(nearest(&known, name), expected, "{name}");
        }
        assert_eq!(question(&["a", "b", "c"]).as_deref(), Some("did you mean a, b or c?"));
    }
}
