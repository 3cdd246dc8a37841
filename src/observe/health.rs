//! Health of the poll loop, the backend, the spool and the suite, as the last attempts showed it.

use std::time::{Duration, Instant};

/// How much longer than allowed a phase of the poll loop may last before the loop counts as stuck. A loaded machine is
/// late.
const GRACE: Duration = Duration::from_secs(30);

/// Phase of the poll loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The runner prepares what tasks share; it polls afterwards.
    WarmingUp,
    /// The loop waits for a free slot.
    Full,
    /// The loop polls the backend, or stores the claim.
    Asking,
    /// The loop pauses before the next poll.
    Pausing,
    /// The loop claims no more tasks; the running ones finish.
    Stopping,
}

impl Phase {
    /// The phase in words, as `/status` shows it.
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

/// Health of the runner.
#[derive(Debug, Clone)]
pub struct Health {
    /// Phase of the poll loop.
    pub phase: Phase,
    /// When the phase began, and how long it may last; `None`: without end.
    entered: (Instant, Option<Duration>),
    /// Why the spool has no room for a task.
    pub spool_trouble: Option<String>,
    /// Whether the runner sent any request to the backend.
    pub backend_asked: bool,
    /// When the backend last answered without a 5xx.
    pub backend_answered: Option<Instant>,
    /// Why the last request to the backend failed, or why polls get no usable answer.
    pub backend_trouble: Option<String>,
    /// Whether the last request got no answer at all.
    pub backend_unreachable: bool,
    /// Why the backend refuses the runner's requests.
    pub credentials_trouble: Option<String>,
    /// Whether the backend ever accepted the runner's requests.
    pub credentials_accepted: bool,
    /// Why the last poll got no usable answer.
    pub(super) claim_trouble: Option<String>,
    /// Health of the suite.
    pub suite: Suite,
}

/// Health of the suite.
#[derive(Debug, Clone, Default)]
pub struct Suite {
    /// Whether its files and its environment are ready.
    pub ready: bool,
    /// When its remote last answered.
    pub refreshed: Option<Instant>,
    /// What its preparation does now.
    pub activity: Option<&'static str>,
    /// Why the last fetch or preparation failed.
    pub trouble: Option<String>,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            phase: Phase::WarmingUp,
            entered: (Instant::now(), None),
            spool_trouble: None,
            backend_asked: false,
            backend_answered: None,
            backend_trouble: None,
            backend_unreachable: false,
            credentials_trouble: None,
            credentials_accepted: false,
            claim_trouble: None,
            suite: Suite::default(),
        }
    }
}

impl Health {
    /// Begins `phase`, which may last for `allowed`; `None`: without end.
    pub(super) fn enter(&mut self, phase: Phase, allowed: Option<Duration>) {
        self.phase = phase;
        self.entered = (Instant::now(), allowed);
    }

    /// A copy whose trouble of the backend includes that of polls: a backend that answers polls with something else is
    /// of no more use than one that is down.
    pub(super) fn with_claim_trouble(&self) -> Self {
        let mut health = self.clone();
        health.backend_trouble = health.backend_trouble.or_else(|| self.claim_trouble.clone());
        health
    }

    /// Why the poll loop counts as stuck at `now`; `None` where it does not. Feeds the watchdog of the service manager.
    pub fn stuck_at(&self, now: Instant) -> Option<String> {
        let (since, allowed) = self.entered;
        let lasted = now.saturating_duration_since(since);
        let late = allowed.is_some_and(|allowed| lasted > allowed.saturating_add(GRACE));
        late.then(|| format!("the poll loop is stuck: {} for {} s", self.phase.name(), lasted.as_secs()))
    }
}
