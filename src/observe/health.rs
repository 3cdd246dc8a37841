//! How things stand with the poll loop and around the runner, as the last attempt at each has shown.

use std::time::{Duration, Instant};

/// Over what the loop may take anyway, before it counts as stuck: a machine under load is late.
const GRACE: Duration = Duration::from_secs(30);

/// Where the poll loop is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It has not begun: what tasks share is being made.
    WarmingUp,
    /// It waits for a free slot.
    Full,
    /// It asks the backend, or writes down what it was given.
    Asking,
    /// It pauses until the next question.
    Pausing,
    /// It takes no more; what runs is finished.
    Stopping,
}

impl Phase {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::WarmingUp => "warming up",
            Self::Full => "all slots busy",
            Self::Asking => "asking for a task",
            Self::Pausing => "idle",
            Self::Stopping => "stopping",
        }
    }
}

/// How things stand.
#[derive(Debug, Clone)]
pub struct Health {
    /// Where the poll loop is.
    pub phase: Phase,
    /// Since when, and how long that may last.
    entered: (Instant, Option<Duration>),
    /// Why the spool cannot take a task.
    pub room: Option<String>,
    /// Whether the backend was asked anything yet.
    pub backend_asked: bool,
    /// When it last answered.
    pub backend_answered: Option<Instant>,
    /// Why it cannot be reached, or why tasks cannot be had of it.
    pub backend: Option<String>,
    /// Whether it gave no answer at all, the last time.
    pub backend_away: bool,
    /// Why it does not take the runner's requests.
    pub credentials: Option<String>,
    /// Whether it ever did.
    pub credentials_taken: bool,
    /// Why the last question for a task was not answered as such.
    pub(super) claims: Option<String>,
    /// The suite.
    pub suite: Suite,
}

/// How things stand with the suite.
#[derive(Debug, Clone, Default)]
pub struct Suite {
    /// Its tree and its environment are there.
    pub ready: bool,
    /// When its remote last answered.
    pub refreshed: Option<Instant>,
    /// What is done to make it ready, while that lasts.
    pub doing: Option<&'static str>,
    /// Why it did not, the last time.
    pub trouble: Option<String>,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            phase: Phase::WarmingUp,
            entered: (Instant::now(), None),
            room: None,
            backend_asked: false,
            backend_answered: None,
            backend: None,
            backend_away: false,
            credentials: None,
            credentials_taken: false,
            claims: None,
            suite: Suite::default(),
        }
    }
}

impl Health {
    pub(super) fn enter(&mut self, phase: Phase, allowed: Option<Duration>) {
        self.phase = phase;
        self.entered = (Instant::now(), allowed);
    }

    /// For who asks: a backend that answers something else to questions for tasks is of no more use than one that is away.
    pub(super) fn shown(&self) -> Self {
        let mut shown = self.clone();
        shown.backend = shown.backend.or_else(|| self.claims.clone());
        shown
    }

    /// Why the poll loop counts as stuck at `now`, where it does. What feeds a watchdog should ask this.
    pub fn stuck_at(&self, now: Instant) -> Option<String> {
        let (since, allowed) = self.entered;
        let lasted = now.saturating_duration_since(since);
        let late = allowed.is_some_and(|allowed| lasted > allowed.saturating_add(GRACE));
        late.then(|| format!("the poll loop is stuck: {} for {} s", self.phase.name(), lasted.as_secs()))
    }
}
