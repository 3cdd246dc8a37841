//! `--listen`: what is known of the run, over HTTP, for machines and for people. Read only, without a login.
//!
//! No client disturbs the runner: connections are few and short, the newest make way for themselves by ending the
//! oldest, requests are small, and what costs the disk something is looked up once a second at the most.

mod answer;
mod health;
mod page;
mod process;
mod status;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::observe::Observe;
use crate::spool::{Depth, Spool};

/// Where to listen.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Seeing inside")]
#[group(skip)]
pub struct Settings {
    /// Address to serve /metrics, /healthz, /readyz and /status on, such as 127.0.0.1:9180
    #[arg(long, global = true, env = "RUNNER_LISTEN", value_name = "ADDRESS", default_value = "none", value_parser = address)]
    pub listen: Listen,
}

/// Where to listen; nowhere, unless told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Listen(pub Option<SocketAddr>);

fn address(text: &str) -> Result<Listen, String> {
    let taken = "expected an address and a port, such as 127.0.0.1:9180 or [::]:9180, or none";
    match text.trim() {
        "" | "none" => Ok(Listen(None)),
        text => text.parse().map(|address| Listen(Some(address))).map_err(|_| taken.to_owned()),
    }
}

/// Connections at a time.
const MOST: usize = 32;

/// How long the head of a request may take.
const HEAD: Duration = Duration::from_secs(5);

/// How long a connection may take in all.
const WHOLE: Duration = Duration::from_secs(15);

/// The largest head of a request.
const LARGEST: usize = 16 << 10;

/// How old an answer about the disk may be.
const FRESH: Duration = Duration::from_secs(1);

/// What the answers are made of.
#[derive(Debug)]
pub struct Source {
    observe: Observe,
    spool: Spool,
    state: PathBuf,
    suite: bool,
    looked: Mutex<Option<(Instant, Disk)>>,
}

/// How the disk is.
#[derive(Debug, Clone, Copy, Default)]
struct Disk {
    depth: Depth,
    /// Bytes that are free in the state folder.
    free: Option<u64>,
}

impl Source {
    /// Answers from what `observe` and `spool` know; `suite`: tasks need one.
    pub fn new(observe: Observe, spool: Spool, state: PathBuf, suite: bool) -> Self {
        Self { observe, spool, state, suite, looked: Mutex::new(None) }
    }

    async fn disk(&self) -> Disk {
        let mut looked = self.looked.lock().await;
        if let Some((at, disk)) = *looked
            && at.elapsed() < FRESH
        {
            return disk;
        }
        let (spool, state) = (self.spool.clone(), self.state.clone());
        let look = move || Disk {
            depth: spool.depth().unwrap_or_default(),
            free: nix::sys::statvfs::statvfs(&state)
                .ok()
                .map(|disk| disk.blocks_available().saturating_mul(disk.fragment_size())),
        };
        let disk = tokio::task::spawn_blocking(look).await.unwrap_or_default();
        *looked = Some((Instant::now(), disk));
        disk
    }
}

/// Takes the address of `settings`; an error says that it cannot be had.
pub async fn bind(settings: &Settings) -> anyhow::Result<Option<TcpListener>> {
    let Listen(Some(address)) = settings.listen else { return Ok(None) };
    let listener = TcpListener::bind(address).await.with_context(|| format!("--listen {address}"))?;
    // With port 0 the system has chosen one.
    if let Ok(address) = listener.local_addr() {
        tracing::info!(name: "listening", %address, "listening");
    }
    Ok(Some(listener))
}

/// Answers for as long as it is polled.
pub async fn run(listener: Option<TcpListener>, source: Source) {
    let Some(listener) = listener else { return std::future::pending().await };
    let source = Arc::new(source);
    let mut connections = JoinSet::new();
    let mut oldest_first: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, say: trying again at once would only spin.
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        oldest_first.retain(|connection| !connection.is_finished());
        if oldest_first.len() >= MOST
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
        async move { Ok::<_, Infallible>(answer::answer(&source, &request).await) }
    });
    let exchange = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(LARGEST)
        // One request a connection: an idle one would only take a place.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // A client that went away or spoke something else is of no interest to anybody.
    timeout(WHOLE, exchange).await.ok();
}
