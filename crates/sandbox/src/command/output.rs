//! Output of a child: it is read all the time, so that the child never blocks, and its head and tail are kept.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long [`collect`] waits for the end of a stream after the command has ended.
const PATIENCE: Duration = Duration::from_secs(2);

/// The kept part of a stream: its head and its tail.
#[derive(Debug, Clone, Default)]
pub struct Captured {
    /// The first bytes.
    pub head: Vec<u8>,
    /// The last bytes that are not in `head`.
    pub tail: Vec<u8>,
    /// Bytes of the whole stream.
    pub total: u64,
}

impl Captured {
    /// Returns the number of bytes between head and tail, which were dropped.
    pub fn lost(&self) -> u64 {
        self.total - (self.head.len() + self.tail.len()) as u64
    }

    /// Returns head and tail as text, with a line between them that gives the number of missing bytes.
    pub fn text(&self) -> String {
        let mut bytes = self.head.clone();
        bytes.extend(self.mark().as_bytes());
        bytes.extend(&self.tail);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Returns the last line with text.
    pub fn last_line(&self) -> Option<String> {
        let tail = if self.tail.is_empty() { &self.head } else { &self.tail };
        let text = String::from_utf8_lossy(tail);
        text.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned)
    }

    fn mark(&self) -> String {
        match self.lost() {
            0 => String::new(),
            lost => format!("\n[… {lost} bytes cut …]\n"),
        }
    }
}

/// Counter of the bytes of stdout and stderr together, with their limit.
#[derive(Debug)]
pub(super) struct Flow {
    bytes: AtomicU64,
    max: u64,
    exceeded: Notify,
}

impl Flow {
    pub(super) fn new(max: Option<u64>) -> Arc<Self> {
        Arc::new(Self { bytes: AtomicU64::new(0), max: max.unwrap_or(u64::MAX), exceeded: Notify::new() })
    }

    fn count(&self, bytes: usize) {
        let before = self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if before.saturating_add(bytes as u64) > self.max {
            self.exceeded.notify_one();
        }
    }

    pub(super) fn is_exceeded(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > self.max
    }

    /// Waits until the limit is exceeded.
    pub(super) async fn exceeded(&self) {
        while !self.is_exceeded() {
            self.exceeded.notified().await;
        }
    }
}

/// Reads `stream` to its end in a task of its own. Keeps `keep` bytes of each end, in memory and in `file`.
pub(super) fn drain(
    stream: Option<impl AsyncRead + Unpin + Send + 'static>,
    file: Option<PathBuf>,
    keep: usize,
    flow: Arc<Flow>,
) -> JoinHandle<Captured> {
    tokio::spawn(async move {
        let mut ends = Ends { captured: Captured::default(), tail: VecDeque::new(), limit: keep };
        let mut file = file.and_then(|path| File::create(path).ok());
        if let Some(mut stream) = stream {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                flow.count(read);
                let head = ends.take(&buffer[..read]);
                // If the disk is full the copy in the file is incomplete, and the command goes on.
                file = file.filter(|mut file| file.write_all(&buffer[..head]).is_ok());
            }
        }
        let captured = ends.done();
        if let Some(mut file) = file {
            file.write_all(captured.mark().as_bytes()).and_then(|()| file.write_all(&captured.tail)).ok();
        }
        captured
    })
}

/// Waits for the end of a drained stream; gives up after [`PATIENCE`], since a process that is not the command's may hold the
/// pipe open.
pub(super) async fn collect(drain: Option<JoinHandle<Captured>>) -> Captured {
    let Some(mut drain) = drain else { return Captured::default() };
    if let Ok(captured) = timeout(PATIENCE, &mut drain).await {
        captured.unwrap_or_default()
    } else {
        drain.abort();
        Captured::default()
    }
}

/// Collects the two ends of a stream.
struct Ends {
    captured: Captured,
    tail: VecDeque<u8>,
    limit: usize,
}

impl Ends {
    /// Takes the next bytes; returns how many of them went to the head.
    fn take(&mut self, bytes: &[u8]) -> usize {
        self.captured.total += bytes.len() as u64;
        let head = bytes.len().min(self.limit - self.captured.head.len());
        self.captured.head.extend_from_slice(&bytes[..head]);
        let rest = &bytes[head..];
        let rest = &rest[rest.len().saturating_sub(self.limit)..];
        let over = (self.tail.len() + rest.len()).saturating_sub(self.limit);
        self.tail.drain(..over);
        self.tail.extend(rest);
        head
    }

    fn done(mut self) -> Captured {
        self.captured.tail = self.tail.into();
        self.captured
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn keeps_both_ends_and_counts_the_rest() {
        let bytes: Vec<u8> = (0..1_000u32).flat_map(|n| format!("{n}\n").into_bytes()).collect();
        let total = bytes.len() as u64;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let stream: &'static [u8] = bytes.leak();
        let captured = drain(Some(stream), Some(path.clone()), 10, Flow::new(None)).await.unwrap();
        assert_eq!(captured.head, b"0\n1\n2\n3\n4\n");
        assert_eq!(captured.tail, b"97\n998\n999\n"[1..]);
        assert_eq!((captured.total, captured.lost()), (total, total - 20));
        assert_eq!(captured.last_line().as_deref(), Some("999"));
        assert_eq!(std::fs::read_to_string(path).unwrap(), captured.text());
    }

    #[tokio::test]
    async fn short_output_is_kept_whole() {
        let captured = drain(Some(&b"hello\n"[..]), None, 10, Flow::new(None)).await.unwrap();
        assert_eq!((captured.text().as_str(), captured.lost()), ("hello\n", 0));
    }
}
