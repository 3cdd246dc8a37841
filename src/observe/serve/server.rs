//! The HTTP server: listens, bounds connections, and answers one request per connection.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::answer::answer;
use super::settings::{Listen, Settings};
use super::source::Source;

/// Limit of connections at the same time.
const MAX_CONNECTIONS: usize = 32;

/// Deadline of the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Deadline of a whole connection.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(15);

/// Limit of the head of a request, in bytes.
const MAX_HEAD: usize = 16 << 10;

/// Binds the address of `settings`; `None` where the server is off.
///
/// # Errors
/// When the address cannot be bound, because it is in use, not of this machine, or privileged.
pub async fn bind(settings: &Settings) -> anyhow::Result<Option<TcpListener>> {
    let Listen(Some(address)) = settings.listen else { return Ok(None) };
    let listener = TcpListener::bind(address).await.with_context(|| format!("--listen {address}"))?;
    // With port 0 the system chose a port.
    if let Ok(address) = listener.local_addr() {
        tracing::info!(name: "listening", %address, "listening");
    }
    Ok(Some(listener))
}

/// Serves `source` on `listener` while it is polled. Never returns; without a listener it waits forever.
pub async fn run(listener: Option<TcpListener>, source: Source) {
    let Some(listener) = listener else { return std::future::pending().await };
    let source = Arc::new(source);
    let mut connections = JoinSet::new();
    let mut oldest_first: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // For example no file descriptor is free; an immediate retry would spin.
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        oldest_first.retain(|connection| !connection.is_finished());
        if oldest_first.len() >= MAX_CONNECTIONS
            && let Some(oldest) = oldest_first.pop_front()
        {
            oldest.abort();
        }
        oldest_first.push_back(connections.spawn(connection(stream, source.clone())));
    }
}

async fn connection(stream: TcpStream, source: Arc<Source>) {
    let service = service_fn(move |request| {
        let source = source.clone();
        async move { Ok::<_, Infallible>(answer(&source, &request).await) }
    });
    let exchange = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        // One request per connection, because an idle connection would hold a place.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // A client that disconnects or speaks another protocol needs no log line.
    timeout(CONNECTION_TIMEOUT, exchange).await.ok();
}
