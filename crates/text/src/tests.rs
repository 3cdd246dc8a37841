use std::borrow::Cow;

use proptest::prelude::*;

use super::*;

#[test]
fn terminal_sequences_go_as_a_whole() {
    for (dirty, expected) in [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[1;38;5;200mx\x1b[K", "x"),
        ("\u{9b}31mred", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]never ended\nnext line", "\nnext line"),
        ("\x1b(Bx", "x"),
        ("end \x1b[31", "end "),
        ("end \x1b", "end "),
        ("\x1b[31\nE   x", "\nE   x"),
        ("#x1B[31mred#x1B[0m", "red"),
        ("#x1B alone", "#x1B alone"),
        ("[31m is text here", "[31m is text here"),
    ] {
        assert_eq!(clean(dirty), expected, "{dirty:?}");
    }
}

#[test]
fn removes_control_characters_and_unifies_line_ends() {
    assert_eq!(clean("a\0b\x08c\x7fd\u{85}e\u{fffe}f\u{ffff}g"), "abcdefg");
    assert_eq!(clean("a\r\nb\rc\n\td"), "a\nb\nc\n\td");
    assert_eq!(clean("рус — 🙂"), "рус — 🙂");
    assert!(matches!(clean("plain\ttext\n"), Cow::Borrowed(_)));
    assert_eq!(one_line("a\r\n\tb\n"), "a b");
}

#[test]
fn a_shortened_line_keeps_both_ends() {
    assert_eq!(shorten("abcdefghijklmnop", 12), "abcdef … nop");
    assert_eq!(shorten("ю".repeat(300).as_str(), 255).chars().count(), 255);
    assert_eq!(shorten("ю".repeat(255).as_str(), 255).chars().count(), 255);
    assert_eq!(shorten("abcdef", 4), "abcd");
    assert_eq!(shorten("abcdef", 0), "");
}

#[test]
fn a_cut_description_says_how_much_is_missing() {
    let text = format!("{}{}", "a".repeat(500), "z".repeat(500));
    let cut = head_and_tail(&text, 100);
    assert!(cut.len() <= 100 && cut.starts_with("aaa") && cut.ends_with("zzz"), "{cut}");
    let kept = cut.matches(['a', 'z']).count() - "bytes".matches('a').count();
    assert!(cut.contains(&format!("\n[… {} bytes cut …]\n", 1000 - kept)), "{cut}");
    let again = head_and_tail(&cut, 60);
    let kept = again.matches(['a', 'z']).count();
    assert!(again.contains(&format!("\n[… {} bytes cut …]\n", 1000 - kept)), "{again}");
}

#[test]
fn urls_are_shown_without_their_secrets() {
    for (url, shown) in [
        ("https://u:p@host/x.git", "https://***@host/x.git"),
        ("https://token@host/x", "https://***@host/x"),
        ("https://u:p@ss@host/x", "https://***@host/x"),
        ("fetching ssh://git@host/x failed", "fetching ssh://git@host/x failed"),
        ("ssh://git:pw@host", "ssh://***@host"),
        ("git@host:x.git", "git@host:x.git"),
        ("https://a:b@c https://d/e@f", "https://***@c https://d/e@f"),
        (r#"{"url":"https:\/\/u:p@host\/x"}"#, r#"{"url":"https:\/\/***@host\/x"}"#),
        // Cut within the password; a port is none.
        (r#"{"a":"https://a:b@c/","url":"https://u:pass"#, r#"{"a":"https://***@c/","url":"https://***"#),
        ("cannot reach http://localhost:5000", "cannot reach http://localhost:5000"),
        ("a::b: http:/x", "a::b: http:/x"),
    ] {
        assert_eq!(without_secrets(url), shown);
    }
}

#[test]
fn thousands_are_set_apart() {
    for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
        assert_eq!(thousands(number), text);
    }
}

proptest! {
    #[test]
    fn bounds_hold_for_any_text(text in "\\PC{0,80}|[a\u{1b}\\[\\]m0-9;ю🙂\n\r\0]{0,200}", max in 0_usize..120) {
        prop_assert!(shorten(&text, max).chars().count() <= max);
        prop_assert!(shorten_bytes(&text, max).len() <= max);
        prop_assert!(head_and_tail(&text, max).len() <= max);
        let clean = clean(&text);
        prop_assert!(!clean.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{clean:?}");
    }
}

#[test]
fn hex_writes_two_digits_a_byte() {
    assert_eq!(hex(&[0, 0x0f, 0xa0]), "000fa0");
}
