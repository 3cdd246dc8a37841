//! What a test holds: a running backend, to be fed, asked, broken and waited for.
//! Every method is quick; those that wait have a bound. Dropping it ends the backend.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::event::Event;
use crate::fault::Fault;
use crate::settings::{Settings, User};
use crate::shared::Shared;
use crate::store::{Attempt, Refusal, RequestRecord, Status, StoredResult, Violation};
use crate::task::{NewTask, TaskId};
use crate::{admin, server, summary};

/// Why a backend did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}: {cause}")]
    Bind {
        /// Where it was to listen.
        address: SocketAddr,
        /// What the system says.
        cause: io::Error,
    },
    /// A path that cannot be served.
    #[error("the path `{0}` does not begin with a slash")]
    Path(String),
}

/// A wait that ran out.
#[derive(Debug, thiserror::Error)]
#[error("waited {waited:?} in vain for {what}; this is how the mock backend stands:\n{state}")]
pub struct WaitError {
    /// What was waited for.
    pub what: String,
    /// How long.
    pub waited: Duration,
    /// The attempts and the last requests, for the one who reads the failure.
    pub state: String,
}

/// A backend that runs in tasks of the current tokio runtime.
pub struct MockBackend {
    shared: Arc<Shared>,
    router: Router,
    address: SocketAddr,
    sweeper: JoinHandle<()>,
    /// The listener with its connections; `None` while the backend is down.
    listening: Mutex<Option<Listening>>,
    /// How many results `next_result` has given out.
    seen: Mutex<usize>,
}

struct Listening {
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
}

impl MockBackend {
    /// Binds and serves.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let paths = &settings.paths;
        for path in [&paths.claim, &paths.result, &paths.login, &paths.refresh] {
            if !path.starts_with('/') {
                return Err(StartError::Path(path.clone()));
            }
        }
        let listener = bind(SocketAddr::new(settings.host, settings.port)).await?;
        let address = listener.local_addr().map_err(|cause| {
            let address = SocketAddr::new(settings.host, settings.port);
            StartError::Bind { address, cause }
        })?;
        let shared = Arc::new(Shared::new(settings));
        let backend = Self {
            router: admin::router(Arc::clone(&shared)),
            address,
            sweeper: tokio::spawn(server::sweep(Arc::clone(&shared))),
            listening: Mutex::default(),
            seen: Mutex::default(),
            shared,
        };
        backend.listen(listener);
        Ok(backend)
    }

    /// `http://127.0.0.1:PORT`, without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds a task; it is handed out after those that were submitted before it.
    #[expect(clippy::needless_pass_by_value, reason = "a task is built and submitted in one breath")]
    pub fn submit(&self, task: NewTask) -> TaskId {
        self.shared.submit(&task)
    }

    /// Adds an answer to one claim, as it is. Gives the id, where the bytes are a JSON object that has one; only
    /// then can a result for it be accepted.
    pub fn submit_raw(&self, claim: impl Into<Bytes>) -> Option<TaskId> {
        self.shared.submit_raw(claim.into())
    }

    /// All attempts in the order in which they were submitted.
    pub fn attempts(&self) -> Vec<Attempt> {
        self.shared.store().attempts.clone()
    }

    /// Where the attempt with this id stands; the latest, where the id was submitted more than once.
    pub fn status_of(&self, id: &TaskId) -> Option<Status> {
        let store = self.shared.store();
        store.attempts.iter().rfind(|attempt| attempt.id.as_ref() == Some(id)).map(|attempt| attempt.status)
    }

    /// The accepted results, one an attempt, in the order in which the first of each came.
    pub fn results(&self) -> Vec<StoredResult> {
        self.shared.store().results().flatten().cloned().collect()
    }

    /// How many attempts with an id have no result yet, claimed or not.
    pub fn unanswered(&self) -> usize {
        let store = self.shared.store();
        store.attempts.iter().filter(|attempt| attempt.id.is_some() && attempt.result.is_none()).count()
    }

    /// The result of the latest attempt with this id.
    pub fn result_of(&self, id: &TaskId) -> Option<StoredResult> {
        let store = self.shared.store();
        store.attempts.iter().rfind(|attempt| attempt.id.as_ref() == Some(id))?.result.clone()
    }

    /// The results that were not accepted.
    pub fn refusals(&self) -> Vec<Refusal> {
        self.shared.store().refusals.clone()
    }

    /// Where the other side does not hold to the contract; every refused result is one of them.
    pub fn violations(&self) -> Vec<Violation> {
        self.shared.store().violations.clone()
    }

    /// The requests, apart from those of the admin API.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.shared.store().requests.iter().cloned().collect()
    }

    /// What happens from now on, as it happens.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.shared.events.subscribe()
    }

    /// A table of the attempts for people: id, status, duration, cases.
    pub fn table(&self) -> String {
        summary::table(&self.shared.store().attempts)
    }

    /// The next accepted result that this method has not given yet. A duplicate is not given again.
    pub async fn next_result(&self, within: Duration) -> Result<StoredResult, WaitError> {
        self.wait_for("the next result", within, |backend| {
            let mut seen = lock(&backend.seen);
            let result = backend.shared.store().results().nth(*seen)?.cloned();
            *seen += 1;
            result
        })
        .await
    }

    /// All results, once there are so many.
    pub async fn wait_for_results(
        &self,
        count: usize,
        within: Duration,
    ) -> Result<Vec<StoredResult>, WaitError> {
        let what = format!("{count} results");
        let enough = |backend: &Self| backend.shared.store().results().len() >= count;
        self.wait_for(&what, within, |backend| enough(backend).then(|| backend.results())).await
    }

    /// All requests, once `enough` says so.
    pub async fn wait_for_requests(
        &self,
        what: &str,
        within: Duration,
        mut enough: impl FnMut(&[RequestRecord]) -> bool,
    ) -> Result<Vec<RequestRecord>, WaitError> {
        self.wait_for(what, within, |backend| Some(backend.requests()).filter(|requests| enough(requests)))
            .await
    }

    /// Looks now and after every change until there is something to see.
    pub async fn wait_for<T>(
        &self,
        what: &str,
        within: Duration,
        mut look: impl FnMut(&Self) -> Option<T>,
    ) -> Result<T, WaitError> {
        let deadline = Instant::now() + within;
        let mut changes = self.shared.changes.subscribe();
        loop {
            changes.borrow_and_update();
            if let Some(seen) = look(self) {
                return Ok(seen);
            }
            if timeout_at(deadline, changes.changed()).await.is_err() {
                let requests = summary::last_requests(&self.shared, 10);
                let state =
                    format!("{}{}last requests:\n{requests}", summary::state(&self.shared), self.table());
                return Err(WaitError { what: what.to_owned(), waited: within, state });
            }
        }
    }

    /// Sets a fault, after those that are set.
    pub fn fault(&self, fault: Fault) {
        self.shared.faults().0.push(fault);
    }

    /// The faults that have not struck for the last time yet.
    pub fn faults(&self) -> Vec<Fault> {
        self.shared.faults().0.clone()
    }

    /// Ends all faults.
    pub fn clear_faults(&self) {
        self.shared.faults().0.clear();
    }

    /// Adds a user, or replaces the one of this name.
    pub fn add_user(&self, user: User) {
        self.shared.auth().add_user(user);
    }

    /// Every access token that was issued is invalid from now on.
    pub fn expire_tokens(&self) {
        self.shared.auth().expire_access_tokens();
    }

    /// Every refresh token that was issued is worthless from now on.
    pub fn forget_refresh_tokens(&self) {
        self.shared.auth().forget_refresh_tokens();
    }

    /// Sets the backend's clock ahead by so many milliseconds; behind, when negative. `Date` and `exp` follow.
    pub fn set_clock_offset_ms(&self, offset: i64) {
        self.shared.set_clock_offset_ms(offset);
    }

    /// Goes down: all connections are closed and new ones refused. What it knows stays.
    pub async fn go_down(&self) {
        let listening = lock(&self.listening).take();
        if let Some(Listening { stop, server }) = listening {
            stop.send_replace(true);
            let _it_was_aborted_or_has_ended = server.await;
        }
    }

    /// Listens again, on the same port.
    pub async fn come_back(&self) -> Result<(), StartError> {
        let down = lock(&self.listening).is_none();
        if down {
            self.listen(bind(self.address).await?);
        }
        Ok(())
    }

    /// What a restart of the deployed backend does: every connection is closed, refresh tokens are forgotten;
    /// attempts, results and access tokens stay.
    pub async fn restart(&self) -> Result<(), StartError> {
        self.go_down().await;
        self.forget_refresh_tokens();
        self.come_back().await
    }

    /// Ends the backend; the port is free when this returns.
    pub async fn shutdown(self) {
        self.shared.ended.send_replace(true);
        self.go_down().await;
    }

    fn listen(&self, listener: TcpListener) {
        let stop = watch::Sender::new(false);
        let serving =
            server::serve(listener, Arc::clone(&self.shared), self.router.clone(), stop.subscribe());
        *lock(&self.listening) = Some(Listening { server: tokio::spawn(serving), stop });
    }
}

impl Drop for MockBackend {
    fn drop(&mut self) {
        self.shared.ended.send_replace(true);
        self.sweeper.abort();
        if let Some(listening) = lock(&self.listening).take() {
            listening.server.abort();
        }
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|cause| StartError::Bind { address, cause })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
