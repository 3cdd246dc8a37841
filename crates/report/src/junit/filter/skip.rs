//! Finds the end of constructs that never pass: comments, processing instructions, and declarations such as DOCTYPE
//! with their internal subset.

use memchr::memmem;

/// A construct that never passes, and the position in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Skipped {
    Comment,
    Instruction,
    /// `<!DOCTYPE …>`.
    Declaration(Declaration),
}

/// Position in a declaration: in its subset `[…]`, in a literal (with its quote), in a comment or an instruction of the
/// subset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Declaration {
    subset: bool,
    quote: Option<u8>,
    inner: Option<Inner>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inner {
    Comment,
    Instruction,
}

impl Inner {
    fn closing(self) -> &'static [u8] {
        match self {
            Self::Comment => b"-->",
            Self::Instruction => b"?>",
        }
    }
}

impl Skipped {
    /// The construct that begins at a `<`, and the length of its start mark; `None` for a tag.
    pub(super) fn begins(bytes: &[u8]) -> Option<(Self, usize)> {
        match bytes {
            [b'<', b'!', b'-', b'-', ..] => Some((Self::Comment, 4)),
            [b'<', b'!', ..] => Some((Self::Declaration(Declaration::default()), 2)),
            [b'<', b'?', ..] => Some((Self::Instruction, 2)),
            _ => None,
        }
    }

    /// Takes the next bytes. Returns how many belong to the construct, and whether it ends there. Bytes that may begin its
    /// end mark are not counted.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> (usize, bool) {
        match self {
            Self::Comment => up_to(bytes, Inner::Comment.closing()),
            Self::Instruction => up_to(bytes, Inner::Instruction.closing()),
            Self::Declaration(declaration) => declaration.feed(bytes),
        }
    }
}

/// How many bytes go up to the end of `closing`, and whether it is in `bytes`.
fn up_to(bytes: &[u8], closing: &[u8]) -> (usize, bool) {
    match memmem::find(bytes, closing) {
        Some(at) => (at + closing.len(), true),
        None => (bytes.len().saturating_sub(closing.len() - 1), false),
    }
}

impl Declaration {
    fn feed(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut at = 0;
        while at < bytes.len() {
            if let Some(inner) = self.inner {
                let (skip, over) = up_to(&bytes[at..], inner.closing());
                at += skip;
                if !over {
                    break;
                }
                self.inner = None;
                continue;
            }
            let byte = bytes[at];
            if byte == b'<' && self.subset && self.quote.is_none() && bytes.len() - at < 4 {
                break;
            }
            at += 1;
            if self.byte(byte, &bytes[at..]) {
                return (at, true);
            }
        }
        (at, false)
    }

    /// Takes one byte. Returns whether the declaration ends with it.
    fn byte(&mut self, byte: u8, after: &[u8]) -> bool {
        match (self.quote, byte) {
            (Some(quote), byte) => {
                if quote == byte {
                    self.quote = None;
                }
            }
            (None, b'"' | b'\'') => self.quote = Some(byte),
            (None, b'[') => self.subset = true,
            (None, b']') => self.subset = false,
            (None, b'<') if self.subset && after.starts_with(b"!--") => self.inner = Some(Inner::Comment),
            (None, b'<') if self.subset && after.starts_with(b"?") => self.inner = Some(Inner::Instruction),
            (None, b'>') => return !self.subset,
            (None, _) => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_end_of_declaration_with_subset() {
        for (text, expected) in [
            ("DOCTYPE a>rest", 10),
            ("DOCTYPE a SYSTEM \"x>y\">rest", 23),
            ("DOCTYPE a [<!ENTITY b \"]>\"> ]>rest", 30),
            ("DOCTYPE a [<!-- don't ]> --> ]>rest", 31),
            ("DOCTYPE a [<?pi ' ]> ?>]>rest", 25),
        ] {
            let mut skipped = Skipped::Declaration(Declaration::default());
            assert_eq!(skipped.feed(text.as_bytes()), (expected, true), "{text}");
            assert_eq!(&text[expected..], "rest");
        }
    }

    #[test]
    fn partial_end_marker_waits_for_next_block() {
        assert_eq!(Skipped::Comment.feed(b"text --"), (5, false));
        assert_eq!(Skipped::Instruction.feed(b"text ?"), (5, false));
        let mut skipped = Skipped::Declaration(Declaration::default());
        assert_eq!(skipped.feed(b"DOCTYPE a [ <!-"), (12, false));
    }
}
