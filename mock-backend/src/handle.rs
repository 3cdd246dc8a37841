//! The handle of a running backend: tests submit tasks, set faults, read records and wait for results through it.
//! Every wait has a timeout.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::error::{StartError, WaitError};
use crate::event::Event;
use crate::fault::Fault;
use crate::records::{Attempt, Refusal, RequestRecord, Status, StoredResult, Violation};
use crate::settings::{Settings, User};
use crate::shared::Shared;

use crate::task::{NewTask, TaskId};
use crate::{admin, server, summary};

/// A backend that runs in tasks of the current tokio runtime. Dropping the handle stops it.
pub struct MockBackend {
    shared: Arc<Shared>,
    router: Router,
    address: SocketAddr,
    sweeper: JoinHandle<()>,
    /// The server with its connections; `None` while the backend is down.
    server: Mutex<Option<Server>>,
    /// Number of results that `next_result` has returned.
    returned_results: Mutex<usize>,
}

struct Server {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl MockBackend {
    /// Binds the configured address and starts to serve.
    ///
    /// # Errors
    /// [`StartError::Path`] if an endpoint path lacks the leading slash, [`StartError::Bind`] if the address cannot be bound.
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
            server: Mutex::default(),
            returned_results: Mutex::default(),
            shared,
        };
        backend.listen(listener);
        Ok(backend)
    }

    /// The base URL `http://ADDRESS:PORT`, without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address that the backend listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Submits a task and returns its id. Tasks are claimed in the order of submission.
    #[expect(clippy::needless_pass_by_value, reason = "callers build a task and submit it in one expression")]
    pub fn submit(&self, task: NewTask) -> TaskId {
        self.shared.submit(&task)
    }

    /// Submits the raw body of the response to one claim. Returns the id if the body is a JSON object that has one;
    /// without an id no result for the task is accepted.
    pub fn submit_raw(&self, claim: impl Into<Bytes>) -> Option<TaskId> {
        self.shared.submit_raw(claim.into())
    }

    /// All attempts in the order of submission.
    pub fn attempts(&self) -> Vec<Attempt> {
        self.shared.store().attempts.clone()
    }

    /// The status of the latest attempt with this id.
    pub fn status_of(&self, id: &TaskId) -> Option<Status> {
        let store = self.shared.store();
        store.attempts.iter().rfind(|attempt| attempt.id.as_ref() == Some(id)).map(|attempt| attempt.status)
    }

    /// The accepted results, one for each attempt, in the order of their first results.
    pub fn results(&self) -> Vec<StoredResult> {
        self.shared.store().results().flatten().cloned().collect()
    }

    /// Number of attempts with an id that have no result, claimed or not.
    pub fn unanswered(&self) -> usize {
        let store = self.shared.store();
        store.attempts.iter().filter(|attempt| attempt.id.is_some() && attempt.result.is_none()).count()
    }

    /// The result of the latest attempt with this id.
    pub fn result_of(&self, id: &TaskId) -> Option<StoredResult> {
        let store = self.shared.store();
        store.attempts.iter().rfind(|attempt| attempt.id.as_ref() == Some(id))?.result.clone()
    }

    /// The refused results.
    pub fn refusals(&self) -> Vec<Refusal> {
        self.shared.store().refusals.clone()
    }

    /// The violations of the contract by clients. Every refused result is also a violation.
    pub fn violations(&self) -> Vec<Violation> {
        self.shared.store().violations.clone()
    }

    /// The recorded requests, without those of the admin API.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.shared.store().requests.iter().cloned().collect()
    }

    /// Subscribes to the events from now on.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.shared.events.subscribe()
    }

    /// A table of the attempts as text: id, status, duration, cases.
    pub fn table(&self) -> String {
        summary::table(&self.shared.store().attempts)
    }

    /// Waits for the next accepted result that this method has not returned yet. Duplicates do not count.
    ///
    /// # Errors
    /// [`WaitError`] if no result is accepted within `timeout`.
    pub async fn next_result(&self, timeout: Duration) -> Result<StoredResult, WaitError> {
        self.wait_for("the next result", timeout, |backend| {
            let mut returned = lock(&backend.returned_results);
            let result = backend.shared.store().results().nth(*returned)?.cloned();
            *returned += 1;
            result
        })
        .await
    }

    /// Waits until `count` results are accepted, and returns all results.
    ///
    /// # Errors
    /// [`WaitError`] if fewer results are accepted within `timeout`.
    pub async fn wait_for_results(
        &self,
        count: usize,
        timeout: Duration,
    ) -> Result<Vec<StoredResult>, WaitError> {
        let condition = format!("{count} results");
        let enough = |backend: &Self| backend.shared.store().results().len() >= count;
        self.wait_for(&condition, timeout, |backend| enough(backend).then(|| backend.results())).await
    }

    /// Waits until `enough` returns true for the recorded requests, and returns all requests. The
    /// error contains the description `condition`.
    ///
    /// # Errors
    /// [`WaitError`] if the condition is not met within `timeout`.
    pub async fn wait_for_requests(
        &self,
        condition: &str,
        timeout: Duration,
        mut enough: impl FnMut(&[RequestRecord]) -> bool,
    ) -> Result<Vec<RequestRecord>, WaitError> {
        self.wait_for(condition, timeout, |backend| {
            Some(backend.requests()).filter(|requests| enough(requests))
        })
        .await
    }

    /// Waits until `check` returns a value. Calls it now and after every change of the backend. The error
    /// contains the description `condition`.
    ///
    /// # Errors
    /// [`WaitError`] if the condition is not met within `timeout`.
    pub async fn wait_for<T>(
        &self,
        condition: &str,
        timeout: Duration,
        mut check: impl FnMut(&Self) -> Option<T>,
    ) -> Result<T, WaitError> {
        let deadline = Instant::now() + timeout;
        let mut changes = self.shared.changes.subscribe();
        loop {
            changes.borrow_and_update();
            if let Some(value) = check(self) {
                return Ok(value);
            }
            if timeout_at(deadline, changes.changed()).await.is_err() {
                let requests = summary::last_requests(&self.shared, 10);
                let state =
                    format!("{}{}last requests:\n{requests}", summary::state(&self.shared), self.table());
                return Err(WaitError { condition: condition.to_owned(), timeout, state });
            }
        }
    }

    /// Appends a fault to the list of faults.
    pub fn fault(&self, fault: Fault) {
        self.shared.faults().0.push(fault);
    }

    /// The faults that still apply to requests.
    pub fn faults(&self) -> Vec<Fault> {
        self.shared.faults().0.clone()
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        self.shared.faults().0.clear();
    }

    /// Adds a user, or replaces the user of this name.
    pub fn add_user(&self, user: User) {
        self.shared.auth().add_user(user);
    }

    /// Invalidates every issued access token.
    pub fn expire_tokens(&self) {
        self.shared.auth().expire_access_tokens();
    }

    /// Invalidates every issued refresh token.
    pub fn forget_refresh_tokens(&self) {
        self.shared.auth().forget_refresh_tokens();
    }

    /// Sets the offset of the backend's clock to this machine's clock, in milliseconds; negative means behind. Affects the
    /// `Date` header and `exp`.
    pub fn set_clock_offset_ms(&self, offset: i64) {
        self.shared.set_clock_offset_ms(offset);
    }

    /// Closes all connections and refuses new ones. Keeps all records.
    pub async fn go_down(&self) {
        let server = lock(&self.server).take();
        if let Some(Server { stop, task }) = server {
            stop.send_replace(true);
            let _aborted_or_finished = task.await;
        }
    }

    /// Listens again on the same port. Does nothing if the backend is not down.
    ///
    /// # Errors
    /// [`StartError::Bind`] if the port was taken meanwhile.
    pub async fn come_back(&self) -> Result<(), StartError> {
        let down = lock(&self.server).is_none();
        if down {
            self.listen(bind(self.address).await?);
        }
        Ok(())
    }

    /// Restarts as the deployed backend does: closes every connection and forgets the refresh tokens; keeps attempts,
    /// results and access tokens.
    ///
    /// # Errors
    /// [`StartError::Bind`] if the port was taken meanwhile.
    pub async fn restart(&self) -> Result<(), StartError> {
        self.go_down().await;
        self.forget_refresh_tokens();
        self.come_back().await
    }

    /// Stops the backend. The port is free when this returns.
    pub async fn shutdown(self) {
        self.shared.stopped.send_replace(true);
        self.go_down().await;
    }

    fn listen(&self, listener: TcpListener) {
        let stop = watch::Sender::new(false);
        let serving =
            server::serve(listener, Arc::clone(&self.shared), self.router.clone(), stop.subscribe());
        *lock(&self.server) = Some(Server { task: tokio::spawn(serving), stop });
    }
}

impl Drop for MockBackend {
    fn drop(&mut self) {
        self.shared.stopped.send_replace(true);
        self.sweeper.abort();
        if let Some(server) = lock(&self.server).take() {
            server.task.abort();
        }
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|cause| StartError::Bind { address, cause })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
