//! A real terminal: a program runs at a pseudo-terminal of its own, as its controlling one, and what it writes is drawn
//! as a person would see it.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use nix::pty::{Winsize, openpty};

use super::PATIENCE;

/// What has come so far: drawn, and as it came.
struct Seen {
    drawn: vt100::Parser,
    bytes: Vec<u8>,
}

/// A program at its terminal; ended with the test.
pub struct Terminal {
    child: Child,
    keys: File,
    seen: Arc<Mutex<Seen>>,
    reader: Option<JoinHandle<()>>,
}

impl Terminal {
    /// Starts `command` at a terminal of this size, of the kind that `TERM` in its environment says.
    pub fn start(command: &Command, (rows, columns): (u16, u16)) -> Self {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).unwrap();
        let child = at(command, || Stdio::from(pty.slave.try_clone().unwrap())).spawn().unwrap();
        drop(pty.slave);
        let keys = File::from(pty.master);
        let drawn = vt100::Parser::new(rows.try_into().unwrap(), columns.try_into().unwrap(), 0);
        let seen = Seen { drawn, bytes: Vec::new() };
        let seen = Arc::new(Mutex::new(seen));
        let (mut screen, all) = (keys.try_clone().unwrap(), seen.clone());
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // When the last process at it has gone, a read fails.
            while let Ok(count @ 1..) = screen.read(&mut buffer) {
                let mut seen = all.lock().unwrap();
                seen.drawn.process(&buffer[..count]);
                seen.bytes.extend(&buffer[..count]);
            }
        });
        Self { child, keys, seen, reader: Some(reader) }
    }

    /// What a person sees now.
    pub fn screen(&self) -> String {
        self.seen.lock().unwrap().drawn.screen().contents()
    }

    /// All that was ever written to it.
    pub fn bytes(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap().bytes).into_owned()
    }

    /// Strikes keys.
    pub fn strike(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the program has ended and all of it is drawn.
    pub async fn ended(&mut self) -> ExitStatus {
        let end = Instant::now() + 2 * PATIENCE;
        while !self.reader.as_ref().is_none_or(JoinHandle::is_finished) {
            assert!(Instant::now() < end, "it has not ended:\n{}", self.screen());
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        self.child.wait().unwrap()
    }
}

/// The same command in a session of its own, which Ctrl-C at this terminal ends.
#[expect(clippy::disallowed_methods, reason = "the tests start the runner as people do")]
fn at(command: &Command, terminal: impl Fn() -> Stdio) -> Command {
    let mut session = Command::new("setsid");
    session.arg("--ctty").arg(command.get_program()).args(command.get_args()).env_clear();
    session.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    session.stdin(terminal()).stdout(terminal()).stderr(terminal());
    session
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            eprintln!("--- the terminal\n{}\n---", self.screen());
        }
    }
}
