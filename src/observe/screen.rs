//! The line of progress on a terminal: one line on stderr that shows the current work and its time.
//!
//! The line appears only where stderr is a terminal that can erase it, and disappears when the work ends. Other output to
//! the terminal goes through [`Screen::aside`] or [`Screen::beside`], so that neither tears the other.
//!
//! Libraries for such lines fill the last column. The terminal then writes its `^C` on a new line, and the old line can
//! no longer be erased; so this module writes the line itself.

use std::io::{self, IsTerminal, LineWriter, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Interval between two writes of the line.
const INTERVAL: Duration = Duration::from_millis(100);

/// Columns that stay free at the end of the line for three `^C`, which the terminal writes.
const FREE_COLUMNS: usize = 7;

/// Frames of the turning bar, in ASCII for terminals without UTF-8.
const FRAMES: [char; 4] = ['|', '/', '-', '\\'];

/// Moves to the beginning of the line and erases it.
const ERASE: &str = "\r\u{1b}[2K";

/// The terminal, or none, which shows nothing (the default). Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Screen(Option<Arc<Mutex<Option<Line>>>>);

/// The line on the terminal.
#[derive(Debug)]
struct Line {
    since: Instant,
    frame: usize,
    words: String,
}

/// Whether a terminal gets colours: not with `TERM=dumb` or a non-empty `NO_COLOR`.
pub fn colours() -> bool {
    let plain = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    !plain && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

impl Screen {
    /// The terminal of stderr; none where stderr is not a terminal or `TERM` is empty, unset or `dumb`.
    pub fn of_stderr() -> Self {
        let able = std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb");
        Self((able && io::stderr().is_terminal()).then(Arc::default))
    }

    /// Shows the text of `describe`, asked again at each write, while `work` runs.
    pub async fn during<T>(&self, describe: impl Fn() -> String, work: impl Future<Output = T>) -> T {
        let Some(slot) = &self.0 else { return work.await };
        *lock(slot) = Some(Line { since: Instant::now(), frame: 0, words: String::new() });
        // Clears the line also when this future is dropped.
        let _clear = ClearOnDrop(self);
        let show = async {
            loop {
                let words = describe();
                if let Some(line) = &mut *lock(slot) {
                    line.frame += 1;
                    line.words = words;
                    put(&line.text());
                }
                tokio::time::sleep(INTERVAL).await;
            }
        };
        tokio::select! {
            done = work => done,
            () = show => std::future::pending().await,
        }
    }

    /// Erases the line, calls `write`, which writes other output to the terminal, and shows the line again.
    pub fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        let Some(slot) = &self.0 else { return write() };
        let line = lock(slot);
        let Some(line) = &*line else { return write() };
        put(ERASE);
        let written = write();
        put(&line.text());
        written
    }

    /// A writer to stdout that writes whole lines through [`Self::aside`].
    pub fn beside(&self) -> impl Write {
        LineWriter::new(Beside(self.clone()))
    }

    /// Removes the line.
    pub fn clear(&self) {
        if self.0.as_ref().and_then(|slot| lock(slot).take()).is_some() {
            put(ERASE);
        }
    }
}

impl Line {
    fn text(&self) -> String {
        let (on, off) = if colours() { ("\u{1b}[36m", "\u{1b}[0m") } else { ("", "") };
        let frame = FRAMES[self.frame % FRAMES.len()];
        let line = format!("{:>3} s  {}", self.since.elapsed().as_secs(), self.words);
        let size = terminal_size::terminal_size_of(io::stderr());
        let width = size.map_or(80, |(width, _)| usize::from(width.0));
        // Text from outside may be in it and must not control the terminal.
        let line = line.chars().map(|c| if c.is_control() { ' ' } else { c });
        let line: String = line.take(width.saturating_sub(FREE_COLUMNS)).collect();
        format!("{ERASE}{on}{frame}{off}{line}")
    }
}

/// Writes all at once, so that no other output comes between. Ignores a terminal that was closed.
fn put(text: &str) {
    io::stderr().write_all(text.as_bytes()).ok();
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct ClearOnDrop<'a>(&'a Screen);

impl Drop for ClearOnDrop<'_> {
    fn drop(&mut self) {
        self.0.clear();
    }
}

struct Beside(Screen);

impl Write for Beside {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.aside(|| {
            let mut out = io::stdout().lock();
            out.write_all(bytes)?;
            // Otherwise stdout would write the rest after the line is back.
            out.flush()
        })?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}
