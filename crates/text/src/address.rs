//! Addresses that people have written, right or wrong, without what may be a secret in them.

use super::without_secrets;

/// What ends an address in a line: its quotes, and what separates words.
fn ends(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>')
}

/// Like [`without_secrets`], and hides the query and the fragment of every URL too, since that is where hosts take tokens,
/// and the login of `user:password@host:path`. For what somebody gave as a setting; of a log it would hide too much.
pub fn without_address_secrets(text: &str) -> String {
    let masked = without_secrets(text);
    let mut out = String::with_capacity(masked.len());
    let mut rest: &str = &masked;
    while !rest.is_empty() {
        let end = rest.find(ends).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        out.push_str(&of_word(word));
        let next = after.find(|c| !ends(c)).unwrap_or(after.len());
        out.push_str(&after[..next]);
        rest = &after[next..];
    }
    out
}

fn of_word(word: &str) -> String {
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
