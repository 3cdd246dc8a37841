//! Decodes the bytes of a report to UTF-8 from any encoding. Malformed bytes become U+FFFD.

use std::io::{self, Cursor, Read};

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use encoding_rs_io::DecodeReaderBytesBuilder;

/// Bytes at the beginning that show the encoding.
const SNIFFED: usize = 1 << 10;
/// Size of a decoded block, in bytes.
const BLOCK: usize = 64 << 10;

/// Reads `input` as UTF-8, without a byte order mark.
pub(super) fn utf8(mut input: impl Read) -> io::Result<impl Read> {
    let mut beginning = Vec::with_capacity(SNIFFED);
    input.by_ref().take(SNIFFED as u64).read_to_end(&mut beginning)?;
    let encoding = sniff(&beginning);
    DecodeReaderBytesBuilder::new()
        .encoding(Some(encoding))
        .build_with_buffer(Cursor::new(beginning).chain(input), vec![0; BLOCK])
}

/// The encoding by byte order mark, by the shape of the first character, by the XML declaration, else UTF-8.
fn sniff(beginning: &[u8]) -> &'static Encoding {
    if let Some((encoding, _)) = Encoding::for_bom(beginning) {
        return encoding;
    }
    let opens = |b: &u8| *b == b'<' || b.is_ascii_whitespace();
    match beginning {
        [first, 0, ..] if opens(first) => return UTF_16LE,
        [0, first, ..] if opens(first) => return UTF_16BE,
        _ => {}
    }
    match declared(beginning) {
        // The declaration was readable as ASCII, so that it cannot be UTF-16.
        Some(encoding) if encoding == UTF_16LE || encoding == UTF_16BE => UTF_8,
        Some(encoding) => encoding,
        None => UTF_8,
    }
}

/// The encoding that `<?xml … encoding="…"?>` names, where it is a known one.
fn declared(beginning: &[u8]) -> Option<&'static Encoding> {
    let text = beginning.trim_ascii_start().strip_prefix(b"<?xml")?;
    let declaration = &text[..memchr::memmem::find(text, b"?>")?];
    let value = &declaration[memchr::memmem::find(declaration, b"encoding")? + b"encoding".len()..];
    let value = value.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let (quote, value) = value.split_first()?;
    let label = &value[..memchr::memchr(*quote, value)?];
    Encoding::for_label_no_replacement(label)
}

#[cfg(test)]
mod tests {
    use encoding_rs::WINDOWS_1252;

    use super::*;

    #[test]
    fn detects_encoding_by_mark_shape_or_declaration() {
        for (beginning, expected) in [
            (&b""[..], UTF_8),
            (b"<?xml version='1.0' encoding='ISO-8859-1'?>", WINDOWS_1252),
            (b"\n<?xml version=\"1.0\" encoding = \"windows-1252\" ?>", WINDOWS_1252),
            (b"<?xml version='1.0' encoding='no-such'?>", UTF_8),
            (b"<?xml version='1.0' encoding='UTF-16'?>", UTF_8),
            (b"<a encoding='ISO-8859-1'/>", UTF_8),
            (b"\xEF\xBB\xBF<?xml encoding='ISO-8859-1'?>", UTF_8),
            (b"\xFF\xFE<\0", UTF_16LE),
            (b"\xFE\xFF\0<", UTF_16BE),
            (b"<\0a\0", UTF_16LE),
            (b"\0<\0a", UTF_16BE),
        ] {
            assert_eq!(sniff(beginning), expected, "{}", String::from_utf8_lossy(beginning));
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        let mut text = String::new();
        utf8(&b"a\xFFb"[..]).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "a\u{fffd}b");
    }
}
