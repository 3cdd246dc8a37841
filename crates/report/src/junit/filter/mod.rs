//! Stands between the bytes of a report and quick-xml, which buffers one event whole: lets at most [`HEAD`] and
//! [`TAIL`] bytes of one text, CDATA section or attribute value through, with a mark between, and nothing of
//! comments, processing instructions and DOCTYPE (no entity is ever declared). Ordinary blocks pass uncopied.

use std::io::{self, BufRead, Read};

use memchr::{memchr, memchr3, memmem};

use super::skip::Skipped;
use text::cut_mark;

/// Bytes of one event that pass before the cut.
pub(super) const HEAD: usize = 32 << 10;
/// Bytes of one event that pass after the cut.
pub(super) const TAIL: usize = 32 << 10;
/// How far a cut looks for a place that is in no entity.
const VERGE: usize = 256;
/// A tag longer than this, its values cut already, is no tag.
const LONGEST_TAG: usize = 1 << 20;
/// The size of a block.
const BLOCK: usize = 64 << 10;
/// What is needed from a `<` on to know what begins there.
const LOOKAHEAD: usize = b"<![CDATA[".len();
/// Stands for all that is not let through: it ends a text, so that none grows without bound around it.
const NOTHING: &[u8] = b"<!---->";

/// What an overlong event can be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Run {
    Text,
    Cdata,
    /// A quoted value, with its quote.
    Value(u8),
}

impl Run {
    /// Where the run ends in `bytes`.
    fn end(self, bytes: &[u8]) -> Option<usize> {
        match self {
            Self::Text => memchr(b'<', bytes),
            Self::Cdata => memmem::find(bytes, b"]]>"),
            Self::Value(quote) => memchr(quote, bytes),
        }
    }

    /// Bytes at the end of a block that may be the beginning of the end.
    fn held_back(self) -> usize {
        if self == Self::Cdata { 2 } else { 0 }
    }
}

#[derive(Debug)]
enum State {
    /// In a run, of which so many bytes have passed.
    Pass(Run, usize),
    /// In the part of a run that passes no more, but for its tail.
    Swallow(Run),
    /// Between `<` and `>`, outside of quotes.
    Tag,
    /// In what is not let through.
    Skip(Skipped),
}

/// What a step of the lexer came to.
enum Step {
    /// It went on.
    On,
    /// It cannot go on without more bytes, or is at the end of the block.
    More,
    /// It cannot go on before the bytes that passed have been taken.
    Taken,
}

/// See the module. What comes in must be ASCII-compatible; cuts are at character boundaries of UTF-8.
#[derive(Debug)]
pub(super) struct Bounded<R> {
    input: R,
    block: Vec<u8>,
    /// `block[start..passed]` may be taken; the lexer stands at `passed`; the data goes to `end`.
    start: usize,
    passed: usize,
    end: usize,
    ended: bool,
    state: State,
    /// Bytes that passed since the last tag began.
    tag: usize,
    /// The last bytes of a swallowed run, and how many before them are gone.
    tail: Vec<u8>,
    gone: u64,
    /// To be taken before the block goes on.
    patch: Vec<u8>,
    patch_taken: usize,
    position: u64,
}

impl<R: Read> Bounded<R> {
    pub(super) fn new(input: R) -> Self {
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

    /// Bytes of the input that have been taken or left out so far.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Whether all of the input has been taken.
    pub(super) fn at_end(&self) -> bool {
        self.ended && self.start == self.end && self.patch_taken == self.patch.len()
    }

    /// Runs the lexer until there is something to take or nothing more will come.
    fn advance(&mut self) -> io::Result<()> {
        while self.patch_taken == self.patch.len() {
            match self.step()? {
                Step::On => {}
                Step::Taken => return Ok(()),
                Step::More if self.passed > self.start => return Ok(()),
                Step::More if self.ended => {
                    self.finish();
                    return Ok(());
                }
                Step::More => self.refill()?,
            }
        }
        Ok(())
    }

    /// At the end of the input: what was kept of a run is still to come, and bytes that waited for more just pass.
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

    fn step(&mut self) -> io::Result<Step> {
        if self.passed == self.end {
            return Ok(Step::More);
        }
        match self.state {
            State::Pass(run, length) => Ok(self.pass(run, length)),
            State::Swallow(run) => Ok(self.swallow(run)),
            State::Tag => self.tag(),
            State::Skip(_) => Ok(self.skip()),
        }
    }

    /// The part of the run that lies in the block, and whether its end is there.
    fn rest_of(&self, run: Run) -> (usize, bool) {
        let bytes = &self.block[self.passed..self.end];
        match run.end(bytes) {
            Some(length) => (length, true),
            None if self.ended => (bytes.len(), false),
            None => (bytes.len().saturating_sub(run.held_back()), false),
        }
    }

    fn pass(&mut self, run: Run, length: usize) -> Step {
        let (rest, ends) = self.rest_of(run);
        if rest == 0 {
            return if ends { self.end_run(run) } else { Step::More };
        }
        if length < HEAD {
            let pass = rest.min(HEAD - length);
            self.let_through(pass);
            self.state = State::Pass(run, length + pass);
            return Step::On;
        }
        // On the verge: the cut goes to the first place that is in no entity and in no character.
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
                return Step::On;
            }
        }
        self.let_through(rest);
        self.state = State::Pass(run, length + rest);
        Step::On
    }

    fn swallow(&mut self, run: Run) -> Step {
        if self.passed > self.start {
            return Step::Taken;
        }
        let (rest, ends) = self.rest_of(run);
        self.tail.extend_from_slice(&self.block[self.passed..self.passed + rest]);
        self.drop_bytes(rest);
        if self.tail.len() > 2 * TAIL {
            self.trim_tail();
        }
        if ends {
            self.end_swallow(run);
            return Step::On;
        }
        if rest == 0 { Step::More } else { Step::On }
    }

    fn trim_tail(&mut self) {
        let excess = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..excess);
        self.gone += excess as u64;
    }

    /// The kept tail is next to be taken, after a mark if anything is gone.
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

    /// At the bytes that end `run`.
    fn end_run(&mut self, run: Run) -> Step {
        match run {
            Run::Value(_) => {
                self.let_through(1);
                self.state = State::Tag;
                Step::On
            }
            Run::Cdata => {
                self.passed += b"]]>".len();
                self.state = State::Pass(Run::Text, 0);
                Step::On
            }
            Run::Text => self.markup(),
        }
    }

    /// At a `<` in text.
    fn markup(&mut self) -> Step {
        let bytes = &self.block[self.passed..self.end];
        let declaration = bytes.len() < 2 || bytes[1] == b'!';
        if declaration && bytes.len() < LOOKAHEAD && !self.ended {
            return Step::More;
        }
        if bytes.starts_with(b"<![CDATA[") {
            self.passed += LOOKAHEAD;
            self.state = State::Pass(Run::Cdata, 0);
        } else if let Some((skipped, opening)) = Skipped::begins(bytes) {
            if self.passed > self.start {
                return Step::Taken;
            }
            self.drop_bytes(opening);
            self.state = State::Skip(skipped);
        } else {
            self.passed += 1;
            self.tag = 1;
            self.state = State::Tag;
        }
        Step::On
    }

    fn tag(&mut self) -> io::Result<Step> {
        let bytes = &self.block[self.passed..self.end];
        let (pass, state) = match memchr3(b'>', b'"', b'\'', bytes) {
            Some(at) if bytes[at] == b'>' => (at + 1, State::Pass(Run::Text, 0)),
            Some(at) => (at + 1, State::Pass(Run::Value(bytes[at]), 0)),
            None => (bytes.len(), State::Tag),
        };
        self.let_through(pass);
        self.state = state;
        if self.tag > LONGEST_TAG {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a tag of more than 1 MiB"));
        }
        Ok(Step::On)
    }

    fn skip(&mut self) -> Step {
        let State::Skip(skipped) = &mut self.state else { return Step::On };
        let (skip, over) = skipped.feed(&self.block[self.passed..self.end]);
        self.drop_bytes(skip);
        if over {
            self.patch = NOTHING.to_vec();
            self.patch_taken = 0;
            self.state = State::Pass(Run::Text, 0);
            return Step::On;
        }
        if skip == 0 { Step::More } else { Step::On }
    }

    fn let_through(&mut self, bytes: usize) {
        self.passed += bytes;
        self.tag += bytes;
    }

    /// Leaves out the next bytes of the block; all before them have been taken.
    fn drop_bytes(&mut self, bytes: usize) {
        self.passed += bytes;
        self.start = self.passed;
        self.position += bytes as u64;
    }
}

/// The first place in a tail that is in no entity and in no character.
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
        // Bytes that passed before a patch was made are taken before it: a patch is made only where none wait.
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

#[cfg(test)]
mod tests;
