//! Response bodies for faults: truncated, byte by byte, or endless.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::Frame;
use tokio::time::{Sleep, sleep};

/// A body in pieces with a pause before each but the first.
struct Pieces {
    remaining: std::vec::IntoIter<Bytes>,
    pause: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
    /// Ends with an error, so that the connection is closed in the middle of the body.
    truncated: bool,
}

/// The first half of a body; then the connection is closed.
pub(crate) fn cut(whole: &Bytes) -> Body {
    // The pause lets hyper send the half before the error closes the connection.
    let pause = Duration::from_millis(20);
    let half = whole.slice(..whole.len() / 2);
    Body::new(Pieces { remaining: vec![half].into_iter(), pause, sleep: None, truncated: true })
}

/// The whole body, byte by byte.
pub(crate) fn drip(whole: &Bytes, pause: Duration) -> Body {
    let bytes: Vec<Bytes> = (0..whole.len()).map(|at| whole.slice(at..=at)).collect();
    Body::new(Pieces { remaining: bytes.into_iter(), pause, sleep: None, truncated: false })
}

/// The beginning of a JSON object with a string that never ends.
pub(crate) fn endless() -> Body {
    Body::new(Endless { started: false })
}

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(sleep) = &mut self.sleep {
            ready!(sleep.as_mut().poll(cx));
        }
        self.sleep = Some(Box::pin(sleep(self.pause)));
        Poll::Ready(match self.remaining.next() {
            Some(piece) => Some(Ok(Frame::data(piece))),
            None if self.truncated => Some(Err(io::Error::other("body cut by a fault"))),
            None => None,
        })
    }
}

struct Endless {
    started: bool,
}

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        const BEGIN: &[u8] = br#"{"status":"AVAILABLE","id":1,"branch":""#;
        const MORE: &[u8] = &[b'a'; 16 * 1024];
        let bytes = if self.started { MORE } else { BEGIN };
        self.started = true;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(bytes)))))
    }
}
