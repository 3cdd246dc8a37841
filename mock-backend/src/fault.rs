//! Faults on request: which answer goes wrong, how, and how often.
//! A fault either stands in for the backend (nothing is processed) or spoils a true answer; each kind says which.

use std::time::Duration;

use axum::http::Method;

use crate::settings::Paths;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `GET` for a task.
    Claim,
    /// `POST` of a result.
    Result,
    /// `POST` of name and password.
    Login,
    /// `POST` of a refresh token.
    Refresh,
    /// In a fault: any of the four.
    Any,
}

impl Endpoint {
    /// The endpoint at this path, if the method fits.
    pub(crate) fn of(method: &Method, path: &str, paths: &Paths) -> Option<Self> {
        let post = *method == Method::POST;
        match path {
            _ if path == paths.claim && *method == Method::GET => Some(Self::Claim),
            _ if path == paths.result && post => Some(Self::Result),
            _ if path == paths.login && post => Some(Self::Login),
            _ if path == paths.refresh && post => Some(Self::Refresh),
            _ => None,
        }
    }
}

/// How an answer goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultKind {
    /// This status in place of an answer, with these headers. Nothing is processed.
    Status(u16, Vec<(String, String)>),
    /// Nothing happens for this long, then all goes on, also into the faults that come after this one. What was
    /// asked is processed even if the other side has gone by then.
    Delay(Duration),
    /// Processed at once, answered this much later.
    Late(Duration),
    /// The connection is closed; nothing is processed.
    DropBefore,
    /// Processed (the task is claimed, the result is stored), then the connection is closed without an answer.
    DropAfter,
    /// Processed; the true answer with its whole `Content-Length` and half of its body, then the connection is closed.
    CutBody,
    /// 200 and bytes that are neither JSON nor UTF-8. Nothing is processed.
    Garbage,
    /// 200 and a page, as a proxy in between answers. Nothing is processed.
    Html200,
    /// 200 and an empty body. Nothing is processed.
    Empty,
    /// 302 to this place. Nothing is processed.
    Redirect(String),
    /// Processed; the true answer, a byte at a time with this interval between two.
    Drip(Duration),
    /// 200 and a body without end. Nothing is processed.
    Endless,
}

impl FaultKind {
    /// This status, without headers.
    pub fn status(status: u16) -> Self {
        Self::Status(status, Vec::new())
    }

    /// This status with a `Retry-After` in seconds.
    pub fn retry_after(status: u16, seconds: u64) -> Self {
        Self::Status(status, vec![("Retry-After".into(), seconds.to_string())])
    }
}

/// How often a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// So many times.
    Count(usize),
    /// Until the faults are cleared.
    Forever,
}

/// A fault: once, unless told otherwise. Faults are asked in the order in which they were set; the first that
/// fits strikes, and only a `Delay` lets the next ones strike as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which requests.
    pub endpoint: Endpoint,
    /// What happens.
    pub kind: FaultKind,
    /// How often.
    pub times: Times,
    /// How many fitting requests pass before the first one is struck.
    pub skip: usize,
}

impl Fault {
    /// Strikes the next fitting request.
    pub fn new(endpoint: Endpoint, kind: FaultKind) -> Self {
        Self { endpoint, kind, times: Times::Count(1), skip: 0 }
    }

    /// Strikes so many times.
    #[must_use]
    pub fn times(mut self, count: usize) -> Self {
        self.times = Times::Count(count);
        self
    }

    /// Strikes until the faults are cleared.
    #[must_use]
    pub fn forever(mut self) -> Self {
        self.times = Times::Forever;
        self
    }

    /// Lets so many fitting requests pass first.
    #[must_use]
    pub fn skip(mut self, count: usize) -> Self {
        self.skip = count;
        self
    }

    /// Whether this request is struck; counts down.
    fn strikes(&mut self, endpoint: Endpoint) -> bool {
        let fits = self.endpoint == endpoint || self.endpoint == Endpoint::Any;
        if !fits || self.times == Times::Count(0) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        if let Times::Count(left) = &mut self.times {
            *left -= 1;
        }
        true
    }
}

/// What a request meets.
#[derive(Debug, Default)]
pub(crate) struct Struck {
    pub(crate) delay: Duration,
    pub(crate) kind: Option<FaultKind>,
    /// The faults in words, for the record.
    pub(crate) words: Option<String>,
}

/// The faults that are set.
#[derive(Debug, Default)]
pub(crate) struct FaultPlan(pub(crate) Vec<Fault>);

impl FaultPlan {
    /// What the next request to this endpoint meets.
    pub(crate) fn strike(&mut self, endpoint: Endpoint) -> Struck {
        let mut struck = Struck::default();
        for fault in &mut self.0 {
            if !fault.strikes(endpoint) {
                continue;
            }
            let words = fault.kind.to_string();
            struck.words = Some(struck.words.map_or(words.clone(), |before| format!("{before} + {words}")));
            match &fault.kind {
                FaultKind::Delay(delay) => struck.delay += *delay,
                kind => {
                    struck.kind = Some(kind.clone());
                    break;
                }
            }
        }
        self.0.retain(|fault| fault.times != Times::Count(0));
        struck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_its_endpoint_as_often_as_told_after_the_skipped_ones() {
        let mut plan = FaultPlan(vec![Fault::new(Endpoint::Result, FaultKind::Empty).times(2).skip(1)]);
        let mut hit = |endpoint| plan.strike(endpoint).kind.is_some();
        assert!(!hit(Endpoint::Claim), "another endpoint, and no skip is used up");
        let hits: Vec<bool> = (0..4).map(|_| hit(Endpoint::Result)).collect();
        assert_eq!(hits, [false, true, true, false]);
        assert!(plan.0.is_empty(), "spent");
    }

    #[test]
    fn any_and_forever() {
        let mut plan = FaultPlan(vec![Fault::new(Endpoint::Any, FaultKind::DropBefore).forever()]);
        for endpoint in
            [Endpoint::Claim, Endpoint::Result, Endpoint::Login, Endpoint::Refresh, Endpoint::Claim]
        {
            assert_eq!(plan.strike(endpoint).kind, Some(FaultKind::DropBefore));
        }
    }

    #[test]
    fn a_delay_goes_with_the_next_fault_and_others_wait_their_turn() {
        let delay = FaultKind::Delay(Duration::from_millis(5));
        let kinds = [delay, FaultKind::status(503), FaultKind::Garbage];
        let mut plan = FaultPlan(kinds.map(|kind| Fault::new(Endpoint::Claim, kind)).to_vec());
        let struck = plan.strike(Endpoint::Claim);
        assert_eq!(struck.delay, Duration::from_millis(5));
        assert_eq!(struck.kind, Some(FaultKind::status(503)));
        assert_eq!(struck.words.unwrap(), "delay=5ms + status=503");
        assert_eq!(plan.strike(Endpoint::Claim).kind, Some(FaultKind::Garbage));
    }
}
