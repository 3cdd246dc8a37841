use proptest::prelude::*;

use std::io::{self, Read};

use text::cut_mark;

use super::*;

/// Gives its bytes in pieces of a size, so that every construct is met at the edge of a read.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let size = self.1.min(out.len());
        (&mut self.0).take(size as u64).read(out)
    }
}

fn filtered(text: &str, piece: usize) -> String {
    let mut out = String::new();
    let mut filter = Bounded::new(Pieces(text.as_bytes(), piece));
    filter.read_to_string(&mut out).unwrap();
    assert!(filter.at_end());
    assert_eq!(filter.position(), text.len() as u64);
    out
}

#[test]
fn keeps_short_content_and_drops_the_rest() {
    let text = "<a b='>\"<!--x-->' c=\"'\">t &amp; <![CDATA[<!-- ]] > ]]>u</a><b/>";
    let dirty = "<?xml version='1.0'?><!DOCTYPE a [<!ENTITY x \"]>\">]><a>1<!-- > -- -->2<?p ??>3</a>";
    let clean = "<!----><!----><a>1<!---->2<!---->3</a>";
    for piece in [1, 2, 3, 7, 1_000] {
        assert_eq!(filtered(text, piece), text, "{piece}");
        assert_eq!(filtered(dirty, piece), clean, "{piece}");
        assert_eq!(filtered("<a><!-- never ended --", piece), "<a>", "{piece}");
    }
}

#[test]
fn long_text_keeps_both_ends() {
    let long = "0123456789".repeat(20_000);
    for (open, close) in [("<a>", "</a>"), ("<a><![CDATA[", "]]></a>"), ("<a b='", "'/>"), ("<a>", "")] {
        for piece in [1_000, 1 << 20] {
            let text = format!("{open}{long}{close}");
            let out = filtered(&text, piece);
            assert!(out.len() < HEAD + TAIL + VERGE + 100, "{open} {}", out.len());
            assert!(out.starts_with(&text[..HEAD]) && out.ends_with(&text[text.len() - 30_000..]), "{open}");
            let (_, after) = out.split_once("\n[… ").unwrap();
            let (gone, _) = after.split_once(" bytes cut …]\n").unwrap();
            let mark = cut_mark(gone.parse().unwrap());
            assert_eq!(out.len() - mark.len() + gone.parse::<usize>().unwrap(), text.len(), "{open}");
        }
    }
}

#[test]
fn slightly_long_text_is_kept_whole() {
    let text = format!("<a>{}</a>", "x y ".repeat((HEAD + TAIL) / 4));
    assert_eq!(filtered(&text, 1 << 20), text);
}

#[test]
fn never_cuts_inside_entity_or_character() {
    for unit in ["&amp;", "ä", "🙂", "a&lt;ä"] {
        let text = format!("<a>{}</a>", unit.repeat(40_000));
        let out = filtered(&text, 4_099);
        let inner = out.strip_prefix("<a>").unwrap().strip_suffix("</a>").unwrap();
        let (head, tail) = inner.split_once("\n[… ").unwrap();
        let (_, tail) = tail.split_once("…]\n").unwrap();
        for end in [head, tail] {
            assert!(!end.replace("&amp;", "").replace("&lt;", "").contains(['&', ';']), "{unit}");
        }
    }
}

#[test]
fn comments_do_not_extend_text_limit() {
    let text = format!("<a>{}</a>", format!("{}<!-- -->", "x".repeat(20_000)).repeat(20));
    let out = filtered(&text, 10_000);
    assert!(out.split('<').all(|run| run.len() < HEAD + TAIL));
}

proptest! {
    #[test]
    fn the_size_of_the_reads_makes_no_difference(
        parts in prop::collection::vec(prop::sample::select(vec![
            "<a>", "</a>", "<a b=\"", "\"", "'", ">", "<", "<!--", "--", "-->", "->", "<![CDATA[", "]]", "]]>", "<!D [", "]", "<?", "?>",
            "?", "text", "&amp;", "ä", "<!", "[",
        ]), 0..40),
        piece in 1..9_usize,
    ) {
        let text = parts.concat();
        prop_assert_eq!(filtered(&text, piece), filtered(&text, 1 << 20));
    }
}
