//! What a person at a terminal sees while they wait: one line on stderr that says what is done now, and for how long.
//!
//! It is there only where stderr is a terminal that can take a line back, and gone when the wait is over. Whatever else
//! goes to the terminal meanwhile goes past it, by [`Screen::aside`] or [`Screen::beside`], so that neither tears the other.
//!
//! A line of our own and no library's: those fill it to the last column, so that the `^C` which the terminal itself writes
//! begins a new one, and the old line can never be taken back.

use std::io::{self, IsTerminal, LineWriter, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often the line is written anew.
const PACE: Duration = Duration::from_millis(100);

/// Columns that stay free at its end, for what the terminal itself writes there: `^C`, three times.
const FREE: usize = 7;

/// What turns at its beginning; a terminal without UTF-8 can show it too.
const TURNS: [char; 4] = ['|', '/', '-', '\\'];

/// Goes to the beginning of the line and erases it.
const ERASE: &str = "\r\u{1b}[2K";

/// The terminal; clones are the same. By default there is none, and nothing is shown.
#[derive(Debug, Clone, Default)]
pub struct Screen(Option<Arc<Mutex<Option<Line>>>>);

/// The line that is shown.
#[derive(Debug)]
struct Line {
    since: Instant,
    turn: usize,
    words: String,
}

/// Whether colours are welcome where there is a terminal.
pub fn colours() -> bool {
    let plain = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    !plain && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

impl Screen {
    /// That of stderr, where it is one.
    pub fn of_stderr() -> Self {
        let able = std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb");
        Self((able && io::stderr().is_terminal()).then(Arc::default))
    }

    /// Shows what `say` says, again and again, until `work` is done.
    pub async fn during<T>(&self, say: impl Fn() -> String, work: impl Future<Output = T>) -> T {
        let Some(slot) = &self.0 else { return work.await };
        *lock(slot) = Some(Line { since: Instant::now(), turn: 0, words: String::new() });
        // Also where this future is dropped.
        let _gone = Gone(self);
        let show = async {
            loop {
                let words = say();
                if let Some(line) = &mut *lock(slot) {
                    line.turn += 1;
                    line.words = words;
                    put(&line.text());
                }
                tokio::time::sleep(PACE).await;
            }
        };
        tokio::select! {
            done = work => done,
            () = show => std::future::pending().await,
        }
    }

    /// Writes something else to the terminal: the line is taken away for it, and comes back.
    pub fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        let Some(slot) = &self.0 else { return write() };
        let line = lock(slot);
        let Some(line) = &*line else { return write() };
        put(ERASE);
        let written = write();
        put(&line.text());
        written
    }

    /// Stdout, a whole line at a time, [`Self::aside`].
    pub fn beside(&self) -> impl Write {
        LineWriter::new(Beside(self.clone()))
    }

    /// Takes the line away for good; for an end that nothing survives.
    pub fn clear(&self) {
        if self.0.as_ref().and_then(|slot| lock(slot).take()).is_some() {
            put(ERASE);
        }
    }
}

impl Line {
    fn text(&self) -> String {
        let (on, off) = if colours() { ("\u{1b}[36m", "\u{1b}[0m") } else { ("", "") };
        let turn = TURNS[self.turn % TURNS.len()];
        let line = format!("{:>3} s  {}", self.since.elapsed().as_secs(), self.words);
        let size = terminal_size::terminal_size_of(io::stderr());
        let width = size.map_or(80, |(width, _)| usize::from(width.0));
        // Words of strangers may be among them, and must not steer the terminal.
        let line = line.chars().map(|c| if c.is_control() { ' ' } else { c });
        let line: String = line.take(width.saturating_sub(FREE)).collect();
        format!("{ERASE}{on}{turn}{off}{line}")
    }
}

/// All at once, so that nothing comes between. A terminal that is gone is no reason to stop.
fn put(text: &str) {
    io::stderr().write_all(text.as_bytes()).ok();
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Gone<'a>(&'a Screen);

impl Drop for Gone<'_> {
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
            // What stdout holds back would come when the line is there again.
            out.flush()
        })?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}
