//! Hides secrets in URLs and addresses.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Hides user and password of each URL in `text`: `https://***@host/`. Includes URLs whose slashes JSON escaped, and a
/// URL that was cut within its password. Keeps the user of an ssh URL that has no password.
pub fn without_secrets(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((at, start)) = scheme_end(rest) {
        let authority = &rest[start..];
        let end = authority
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'' | '<' | '>'))
            .unwrap_or(authority.len());
        let is_cut = |authority: &str| {
            end == rest.len() - start
                && authority
                    .split_once(':')
                    .is_some_and(|(_, port)| port.contains(|c: char| !c.is_ascii_digit()))
        };
        match authority[..end].rfind('@') {
            Some(user) if !rest[..at].ends_with("ssh") || authority[..user].contains(':') => {
                let _ = write!(out, "{}***", &rest[..start]);
                rest = &authority[user..];
            }
            None if is_cut(authority) => {
                let _ = write!(out, "{}***", &rest[..start]);
                rest = "";
            }
            _ => {
                out.push_str(&rest[..start + end]);
                rest = &authority[end..];
            }
        }
    }
    if out.is_empty() {
        return Cow::Borrowed(text);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Positions in the first URL: the end of its scheme, and the place after its slashes.
fn scheme_end(text: &str) -> Option<(usize, usize)> {
    text.match_indices(':').find_map(|(at, _)| {
        let slashes = ["://", r":\/\/"].into_iter().find(|slashes| text[at..].starts_with(slashes))?;
        Some((at, at + slashes.len()))
    })
}

/// Whether `c` ends an address in a line: white space or a quote.
fn ends_address(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>')
}

/// Hides secrets like [`without_secrets`], and also the query and fragment of each URL, which can hold tokens, and the
/// login of `user:password@host:path`. For values of settings; in a log it would hide too much.
pub fn without_address_secrets(text: &str) -> String {
    let masked = without_secrets(text);
    let mut out = String::with_capacity(masked.len());
    let mut rest: &str = &masked;
    while !rest.is_empty() {
        let end = rest.find(ends_address).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        out.push_str(&word_without_secrets(word));
        let next = after.find(|c| !ends_address(c)).unwrap_or(after.len());
        out.push_str(&after[..next]);
        rest = &after[next..];
    }
    out
}

/// One word without its secrets.
fn word_without_secrets(word: &str) -> String {
    if let Some(scheme) = word.find("://") {
        return match word[scheme..].find(['?', '#']).map(|at| scheme + at) {
            Some(at) => format!("{}***", &word[..=at]),
            None => word.to_owned(),
        };
    }
    match word.rsplit_once('@') {
        Some((login, host)) if login.contains(':') => format!("***@{host}"),
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_queries_and_fragments_go() {
        for (text, shown) in [
            ("'https://u:hunter2@h/x#hunter2' is", "'https://***@h/x#***' is"),
            ("'http://h/?token=hunter2': no", "'http://h/?***': no"),
            ("\"u:hunter2@h:x.git\"", "\"***@h:x.git\""),
            ("'git@h:x.git'", "'git@h:x.git'"),
            ("expected seconds (5, 0.1): a?", "expected seconds (5, 0.1): a?"),
            ("a: b@c", "a: b@c"),
            ("", ""),
        ] {
            assert_eq!(without_address_secrets(text), shown, "{text}");
        }
    }
}
