//! State shared by the connections and the handle: settings, clock, store, tokens, faults and notifications.
//! No method waits; locks are held only within a method.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::{broadcast, watch};

use crate::auth::Auth;
use crate::event::Event;
use crate::fault::FaultPlan;
use crate::settings::{IdKind, Settings};
use crate::store::Store;
use crate::task::{NewTask, TaskId};

/// Number of events that a subscriber may lag behind before it loses the oldest.
const EVENT_CAPACITY: usize = 4096;

/// The shared state of one backend.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    clock_offset_ms: AtomicI64,
    next_id: AtomicU64,
    store: Mutex<Store>,
    auth: Mutex<Auth>,
    faults: Mutex<FaultPlan>,
    /// Incremented with every change that a caller can wait for.
    pub(crate) changes: watch::Sender<u64>,
    pub(crate) events: broadcast::Sender<Event>,
    /// True once the backend is stopped for good.
    pub(crate) stopped: watch::Sender<bool>,
}

impl Shared {
    pub(crate) fn new(settings: Settings) -> Self {
        let auth = Auth::new(&settings.users, settings.access_lifetime, settings.refresh_lifetime);
        Self {
            clock_offset_ms: AtomicI64::new(settings.clock_offset_ms),
            next_id: AtomicU64::new(1),
            store: Mutex::default(),
            auth: Mutex::new(auth),
            faults: Mutex::default(),
            changes: watch::Sender::new(0),
            events: broadcast::Sender::new(EVENT_CAPACITY),
            stopped: watch::Sender::new(false),
            settings,
        }
    }

    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn auth(&self) -> MutexGuard<'_, Auth> {
        self.auth.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, FaultPlan> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes all waits of the handle check their conditions again.
    pub(crate) fn notify_waiters(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Sends an event to the subscribers.
    pub(crate) fn emit(&self, event: Event) {
        let _no_subscribers = self.events.send(event);
    }

    /// The time of the backend's clock.
    pub(crate) fn now(&self) -> SystemTime {
        let offset = self.clock_offset_ms.load(Ordering::Relaxed);
        let by = Duration::from_millis(offset.unsigned_abs());
        let now = SystemTime::now();
        let moved = if offset < 0 { now.checked_sub(by) } else { now.checked_add(by) };
        moved.unwrap_or(now)
    }

    /// The time of the backend's clock in milliseconds since the Unix epoch.
    pub(crate) fn now_ms(&self) -> u64 {
        let since = self.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn set_clock_offset_ms(&self, offset: i64) {
        self.clock_offset_ms.store(offset, Ordering::Relaxed);
    }

    /// Submits a task and returns its id, which is generated unless the task has one.
    pub(crate) fn submit(&self, task: &NewTask) -> TaskId {
        let id = task.chosen_id().cloned().unwrap_or_else(|| match self.settings.ids {
            IdKind::Uuid => TaskId::uuid(),
            IdKind::Integer => TaskId::from(self.next_id.fetch_add(1, Ordering::Relaxed)),
        });
        self.store().submit(Some(id.clone()), Bytes::from(task.claim(&id)));
        self.notify_waiters();
        id
    }

    /// Submits the raw body of a claim response. Returns the id if the body is a JSON object that has one.
    pub(crate) fn submit_raw(&self, claim: Bytes) -> Option<TaskId> {
        #[derive(Deserialize)]
        struct HasId<'a> {
            #[serde(borrow)]
            id: &'a RawValue,
        }
        let id = serde_json::from_slice::<HasId<'_>>(&claim).ok().map(|has| has.id.get().to_owned());
        let id = id.filter(|id| id != "null").map(TaskId::raw);
        self.store().submit(id.clone(), claim);
        self.notify_waiters();
        id
    }

    /// Times out old attempts once.
    pub(crate) fn sweep(&self) {
        let timed_out = self.store().sweep(self.settings.sweep.max_age);
        for id in timed_out {
            self.emit(Event::TimedOut { id });
            self.notify_waiters();
        }
    }
}
