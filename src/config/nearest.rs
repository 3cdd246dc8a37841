//! The settings that somebody may have meant who wrote another name.

/// As many are named, where several are as near.
const MOST: usize = 3;

/// A beginning of this many letters makes two words alike: `logging` and `logger`.
const BEGINNING: usize = 4;

/// Those of `known` that are nearest to `name`, however it is written (`RUNNER_TIMEOUT`, `Time-Out`), in their order; none
/// where none is near.
pub(super) fn nearest<'a>(known: &'a [String], name: &str) -> Vec<&'a str> {
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let name = plain(name);
    if let Some(key) = misspelt(&known, &name) {
        return vec![key];
    }
    let scored: Vec<_> = known.iter().map(|key| (score(key, &name), *key)).collect();
    let best = scored.iter().map(|(score, _)| *score).max().unwrap_or_default();
    let best = scored.into_iter().filter(|(score, _)| *score == best && score.0 > 0);
    best.map(|(_, key)| key).take(MOST).collect()
}

/// The one that `name` is but for a letter or two.
pub(super) fn misspelt<'a>(known: &[&'a str], name: &str) -> Option<&'a str> {
    let name = plain(name);
    let by_letters = known.iter().map(|key| (distance(key, &name), *key));
    let (far, key) = by_letters.min_by_key(|(far, _)| *far)?;
    (far <= (name.len() / 4).max(1)).then_some(key)
}

/// `did you mean a, b or c?`
pub(super) fn question(nearest: &[&str]) -> Option<String> {
    let (last, others) = nearest.split_last()?;
    Some(match others {
        [] => format!("did you mean {last}?"),
        _ => format!("did you mean {} or {last}?", others.join(", ")),
    })
}

/// As a file has it: without the prefix of a variable or the dashes of a flag.
fn plain(name: &str) -> String {
    let name = name.trim_start_matches('-').replace(['-', '.'], "_").to_lowercase();
    name.strip_prefix("runner_").map(str::to_owned).unwrap_or(name)
}

/// How much of `name` is in `key`, word by word; among equals, how much of the key that is.
fn score(key: &str, name: &str) -> (usize, usize) {
    let words: Vec<&str> = key.split('_').collect();
    let alike = |word: &str| words.iter().map(|own| alike(own, word)).max().unwrap_or(0);
    let sum: usize = name.split('_').filter(|word| !word.is_empty()).map(alike).sum();
    // One word of the key may not stand for several of the name.
    (sum.min(2 * words.len()), 100 * sum.min(1) / words.len())
}

/// 2: the same; 1: they begin alike; 0.
fn alike(one: &str, other: &str) -> usize {
    let common = one.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    match common {
        _ if one == other => 2,
        _ if common >= BEGINNING || (common >= 3 && common == one.len().min(other.len())) => 1,
        _ => 0,
    }
}

/// Letters to put in, take out, change or swap.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut rows = vec![(0..=other.len()).collect::<Vec<usize>>()];
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let mut best = (rows[i][j] + usize::from(a != b)).min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_words_are_compared() {
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
        for (name, wanted) in [
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
            assert_eq!(nearest(&known, name), wanted, "{name}");
        }
        assert_eq!(question(&["a", "b", "c"]).as_deref(), Some("did you mean a, b or c?"));
    }
}
