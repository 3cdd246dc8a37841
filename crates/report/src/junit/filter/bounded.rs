//! The filter itself.

use std::io::{self, BufRead, Read};

use memchr::{memchr, memchr3, memmem};

use super::skip::Skipped;
use text::cut_mark;

/// Bytes of one event that pass before a cut.
pub(super) const HEAD: usize = 32 << 10;
/// Bytes of one event that pass after a cut.
pub(super) const TAIL: usize = 32 << 10;
/// Bytes that a cut searches for a place outside of entities.
pub(super) const VERGE: usize = 256;
/// Limit of a tag in bytes, after its values are cut.
const MAX_TAG: usize = 1 << 20;
/// Size of a block, in bytes.
const BLOCK: usize = 64 << 10;
/// Bytes from a `<` on that show which construct begins there.
const LOOKAHEAD: usize = b"<![CDATA[".len();
/// Replaces a skipped construct. It separates the texts around it, so that they do not join without bound.
const PLACEHOLDER: &[u8] = b"<!---->";

/// A run of bytes whose length is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Run {
    Text,
    Cdata,
    /// A value of an attribute, with its quote.
    Value(u8),
}

impl Run {
    /// Position of the end of the run in `bytes`.
    fn end(self, bytes: &[u8]) -> Option<usize> {
        match self {
            Self::Text => memchr(b'<', bytes),
            Self::Cdata => memmem::find(bytes, b"]]>"),
            Self::Value(quote) => memchr(quote, bytes),
        }
    }

    /// Bytes at the end of a block that may begin the end mark of the run.
    fn held_back(self) -> usize {
        if self == Self::Cdata { 2 } else { 0 }
    }
}

/// State of the lexer.
#[derive(Debug)]
enum State {
    /// In a run, of which this many bytes have passed.
    Pass(Run, usize),
    /// In the part of a run that is cut; the tail is kept.
    Swallow(Run),
    /// Between `<` and `>`, outside of quotes.
    Tag,
    /// In a construct that never passes.
    Skip(Skipped),
}

/// Outcome of one advance of the lexer.
enum Advance {
    /// The lexer went on.
    On,
    /// The lexer needs more bytes.
    More,
    /// The reader must consume the passed bytes first.
    Consume,
}

/// Reads `input` and bounds its events. The input must be UTF-8; cuts are at character boundaries.
#[derive(Debug)]
pub(in crate::junit) struct Bounded<R> {
    input: R,
    block: Vec<u8>,
    /// The reader may consume `block[start..passed]`; the lexer is at `passed`; the data ends at `end`.
    start: usize,
    passed: usize,
    end: usize,
    ended: bool,
    state: State,
    /// Bytes that passed since the last tag began, for its limit.
    tag: usize,
    /// The last bytes of a run that is cut, and the number of bytes cut before them.
    tail: Vec<u8>,
    gone: u64,
    /// Bytes that the reader consumes before the block goes on.
    patch: Vec<u8>,
    patch_taken: usize,
    position: u64,
}

impl<R: Read> Bounded<R> {
    pub(in crate::junit) fn new(input: R) -> Self {
        Self {
            input,
            block: vec![0; BLOCK],
            start: 0,
            passed: 0,
            end: 0,
            ended: false,
            state: State::Pass(Run::Text, 0),
            tag: 0,
            tail: Vec::new(),
            gone: 0,
            patch: Vec::new(),
            patch_taken: 0,
            position: 0,
        }
    }

    /// Number of bytes of the input that were consumed or skipped.
    pub(in crate::junit) fn position(&self) -> u64 {
        self.position
    }

    /// Whether all of the input was consumed.
    pub(in crate::junit) fn at_end(&self) -> bool {
        self.ended && self.start == self.end && self.patch_taken == self.patch.len()
    }

    /// Runs the lexer until the reader can consume bytes or the input ends.
    fn advance(&mut self) -> io::Result<()> {
        while self.patch_taken == self.patch.len() {
            match self.next()? {
                Advance::On => {}
                Advance::Consume => return Ok(()),
                Advance::More if self.passed > self.start => return Ok(()),
                Advance::More if self.ended => {
                    self.finish();
                    return Ok(());
                }
                Advance::More => self.refill()?,
            }
        }
        Ok(())
    }

    /// Ends the input: passes the tail of a cut run, and bytes that waited for more.
    fn finish(&mut self) {
        if let State::Swallow(run) = self.state {
            self.end_swallow(run);
        }
        if let State::Skip(_) = self.state {
            self.drop_bytes(self.end - self.passed);
        }
        self.passed = self.end;
    }

    fn refill(&mut self) -> io::Result<()> {
        self.block.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        (self.start, self.passed) = (0, 0);
        match self.input.read(&mut self.block[self.end..]) {
            Ok(0) => self.ended = true,
            Ok(read) => self.end += read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
        Ok(())
    }

    fn next(&mut self) -> io::Result<Advance> {
        if self.passed == self.end {
            return Ok(Advance::More);
        }
        match self.state {
            State::Pass(run, length) => Ok(self.pass(run, length)),
            State::Swallow(run) => Ok(self.swallow(run)),
            State::Tag => self.tag(),
            State::Skip(_) => Ok(self.skip()),
        }
    }

    /// Length of the run in the block, and whether its end is in the block.
    fn rest_of(&self, run: Run) -> (usize, bool) {
        let bytes = &self.block[self.passed..self.end];
        match run.end(bytes) {
            Some(length) => (length, true),
            None if self.ended => (bytes.len(), false),
            None => (bytes.len().saturating_sub(run.held_back()), false),
        }
    }

    fn pass(&mut self, run: Run, length: usize) -> Advance {
        let (rest, ends) = self.rest_of(run);
        if rest == 0 {
            return if ends { self.end_run(run) } else { Advance::More };
        }
        if length < HEAD {
            let pass = rest.min(HEAD - length);
            self.let_through(pass);
            self.state = State::Pass(run, length + pass);
            return Advance::On;
        }
        // The cut is at the first place that is not inside an entity or a character.
        for i in self.passed..self.passed + rest {
            let byte = self.block[i];
            let after_entity = i > self.start && self.block[i - 1] == b';';
            let looked = length + (i - self.passed) - HEAD;
            let in_character = byte & 0xC0 == 0x80;
            if byte.is_ascii_whitespace()
                || byte == b'&'
                || after_entity
                || (looked >= VERGE && !in_character)
            {
                self.let_through(i - self.passed);
                self.state = State::Swallow(run);
                return Advance::On;
            }
        }
        self.let_through(rest);
        self.state = State::Pass(run, length + rest);
        Advance::On
    }

    fn swallow(&mut self, run: Run) -> Advance {
        if self.passed > self.start {
            return Advance::Consume;
        }
        let (rest, ends) = self.rest_of(run);
        self.tail.extend_from_slice(&self.block[self.passed..self.passed + rest]);
        self.drop_bytes(rest);
        if self.tail.len() > 2 * TAIL {
            self.trim_tail();
        }
        if ends {
            self.end_swallow(run);
            return Advance::On;
        }
        if rest == 0 { Advance::More } else { Advance::On }
    }

    fn trim_tail(&mut self) {
        let excess = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..excess);
        self.gone += excess as u64;
    }

    /// Ends a cut run: its tail is consumed next, after a mark where bytes are missing.
    fn end_swallow(&mut self, run: Run) {
        if self.gone > 0 || self.tail.len() > TAIL + VERGE {
            self.trim_tail();
            let begin = safe_beginning(&self.tail);
            self.gone += begin as u64;
            self.patch = cut_mark(self.gone).into_bytes();
            self.patch.extend_from_slice(&self.tail[begin..]);
        } else {
            self.patch.clone_from(&self.tail);
        }
        self.tag += self.patch.len();
        self.patch_taken = 0;
        self.tail.clear();
        self.gone = 0;
        self.state = State::Pass(run, 0);
    }

    /// Passes the end mark of `run`.
    fn end_run(&mut self, run: Run) -> Advance {
        match run {
            Run::Value(_) => {
                self.let_through(1);
                self.state = State::Tag;
                Advance::On
            }
            Run::Cdata => {
                self.passed += b"]]>".len();
                self.state = State::Pass(Run::Text, 0);
                Advance::On
            }
            Run::Text => self.markup(),
        }
    }

    /// Decides which construct begins at a `<` in text.
    fn markup(&mut self) -> Advance {
        let bytes = &self.block[self.passed..self.end];
        let declaration = bytes.len() < 2 || bytes[1] == b'!';
        if declaration && bytes.len() < LOOKAHEAD && !self.ended {
            return Advance::More;
        }
        if bytes.starts_with(b"<![CDATA[") {
            self.passed += LOOKAHEAD;
            self.state = State::Pass(Run::Cdata, 0);
        } else if let Some((skipped, opening)) = Skipped::begins(bytes) {
            if self.passed > self.start {
                return Advance::Consume;
            }
            self.drop_bytes(opening);
            self.state = State::Skip(skipped);
        } else {
            self.passed += 1;
            self.tag = 1;
            self.state = State::Tag;
        }
        Advance::On
    }

    fn tag(&mut self) -> io::Result<Advance> {
        let bytes = &self.block[self.passed..self.end];
        let (pass, state) = match memchr3(b'>', b'"', b'\'', bytes) {
            Some(at) if bytes[at] == b'>' => (at + 1, State::Pass(Run::Text, 0)),
            Some(at) => (at + 1, State::Pass(Run::Value(bytes[at]), 0)),
            None => (bytes.len(), State::Tag),
        };
        self.let_through(pass);
        self.state = state;
        if self.tag > MAX_TAG {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a tag of more than 1 MiB"));
        }
        Ok(Advance::On)
    }

    fn skip(&mut self) -> Advance {
        let State::Skip(skipped) = &mut self.state else { return Advance::On };
        let (skip, over) = skipped.feed(&self.block[self.passed..self.end]);
        self.drop_bytes(skip);
        if over {
            self.patch = PLACEHOLDER.to_vec();
            self.patch_taken = 0;
            self.state = State::Pass(Run::Text, 0);
            return Advance::On;
        }
        if skip == 0 { Advance::More } else { Advance::On }
    }

    fn let_through(&mut self, bytes: usize) {
        self.passed += bytes;
        self.tag += bytes;
    }

    /// Skips the next bytes of the block. The reader has consumed all bytes before them.
    fn drop_bytes(&mut self, bytes: usize) {
        self.passed += bytes;
        self.start = self.passed;
        self.position += bytes as u64;
    }
}

/// The first place in a tail that is not inside an entity or a character.
fn safe_beginning(tail: &[u8]) -> usize {
    let near = &tail[..tail.len().min(VERGE)];
    let safe = near.iter().enumerate().find_map(|(i, &byte)| match byte {
        b';' => Some(i + 1),
        b'&' => Some(i),
        byte if byte.is_ascii_whitespace() => Some(i),
        _ => None,
    });
    safe.or_else(|| near.iter().position(|byte| byte & 0xC0 != 0x80)).unwrap_or(0)
}

impl<R: Read> BufRead for Bounded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.patch_taken == self.patch.len() && self.start == self.passed {
            self.advance()?;
        }
        // A patch is made only where no passed bytes wait, so that it comes after them.
        Ok(match &self.patch[self.patch_taken..] {
            [] => &self.block[self.start..self.passed],
            patch => patch,
        })
    }

    fn consume(&mut self, bytes: usize) {
        if self.patch_taken < self.patch.len() {
            self.patch_taken = (self.patch_taken + bytes).min(self.patch.len());
        } else {
            let bytes = bytes.min(self.passed - self.start);
            self.start += bytes;
            self.position += bytes as u64;
        }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(out)?;
        self.consume(read);
        Ok(read)
    }
}
