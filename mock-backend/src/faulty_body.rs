//! Bodies that go wrong: cut in the middle, a byte at a time, or without end.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::Frame;
use tokio::time::{Sleep, sleep};

/// A body that comes in pieces with a pause before each but the first.
struct Pieces {
    left: std::vec::IntoIter<Bytes>,
    pause: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    /// Ends in an error, so that the connection is closed in the middle of the body.
    cut: bool,
}

/// The first half of a body; then the connection is closed.
pub(crate) fn cut(whole: &Bytes) -> Body {
    // The pause lets the half go out before the error takes the connection down.
    let pause = Duration::from_millis(20);
    let half = whole.slice(..whole.len() / 2);
    Body::new(Pieces { left: vec![half].into_iter(), pause, waiting: None, cut: true })
}

/// The whole body, a byte at a time.
pub(crate) fn drip(whole: &Bytes, pause: Duration) -> Body {
    let bytes: Vec<Bytes> = (0..whole.len()).map(|at| whole.slice(at..=at)).collect();
    Body::new(Pieces { left: bytes.into_iter(), pause, waiting: None, cut: false })
}

/// The beginning of a JSON object, and then more of it for as long as anyone reads.
pub(crate) fn endless() -> Body {
    Body::new(Endless { begun: false })
}

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(waiting) = &mut self.waiting {
            ready!(waiting.as_mut().poll(cx));
        }
        self.waiting = Some(Box::pin(sleep(self.pause)));
        Poll::Ready(match self.left.next() {
            Some(piece) => Some(Ok(Frame::data(piece))),
            None if self.cut => Some(Err(io::Error::other("cut on request"))),
            None => None,
        })
    }
}

struct Endless {
    begun: bool,
}

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        const BEGIN: &[u8] = br#"{"status":"AVAILABLE","id":1,"branch":""#;
        const MORE: &[u8] = &[b'a'; 16 * 1024];
        let bytes = if self.begun { MORE } else { BEGIN };
        self.begun = true;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(bytes)))))
    }
}
