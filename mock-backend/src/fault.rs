//! Fault injection: which requests are affected, how, and how often.
//! A fault either replaces the backend (nothing is processed) or alters the response of the backend.

use std::time::Duration;

use axum::http::Method;

use crate::settings::Paths;

/// An endpoint of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `GET`: claims a task.
    Claim,
    /// `POST`: takes a result.
    Result,
    /// `POST`: exchanges name and password for tokens.
    Login,
    /// `POST`: exchanges a refresh token for new tokens.
    Refresh,
    /// In a fault: all four endpoints.
    Any,
}

impl Endpoint {
    /// The endpoint of this method and path; `None` if there is none.
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

/// Kind of a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultKind {
    /// Responds with this status and these headers. Nothing is processed.
    Status(u16, Vec<(String, String)>),
    /// Waits this long before the request is processed, even if the client disconnects meanwhile. Also applies the next
    /// matching fault.
    Delay(Duration),
    /// Processes the request at once and responds this much later.
    Late(Duration),
    /// Closes the connection. Nothing is processed.
    DropBefore,
    /// Processes the request (claims the task, stores the result), then closes the connection without a response.
    DropAfter,
    /// Processes the request, sends the full `Content-Length` with half of the body, then closes the connection.
    CutBody,
    /// Responds with 200 and bytes that are neither JSON nor UTF-8. Nothing is processed.
    Garbage,
    /// Responds with 200 and an HTML page, as a captive portal does. Nothing is processed.
    Html200,
    /// Responds with 200 and an empty body. Nothing is processed.
    Empty,
    /// Redirects with 302 to this URL. Nothing is processed.
    Redirect(String),
    /// Processes the request and sends the response body byte by byte with this pause between two bytes.
    Drip(Duration),
    /// Responds with 200 and an endless body. Nothing is processed.
    Endless,
}

impl FaultKind {
    /// A status without headers.
    pub fn status(status: u16) -> Self {
        Self::Status(status, Vec::new())
    }

    /// A status with a `Retry-After` header in seconds.
    pub fn retry_after(status: u16, seconds: u64) -> Self {
        Self::Status(status, vec![("Retry-After".into(), seconds.to_string())])
    }
}

/// Number of requests that a fault applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// This many requests.
    Count(usize),
    /// All requests until the faults are cleared.
    Forever,
}

/// A fault to inject; by default into one request. The first matching fault in the order of setting applies; after a
/// `Delay` the next matching fault applies too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The affected endpoint.
    pub endpoint: Endpoint,
    /// The kind.
    pub kind: FaultKind,
    /// Number of affected requests.
    pub times: Times,
    /// Number of matching requests to skip before the first affected one.
    pub skip: usize,
}

impl Fault {
    /// A fault that applies to the next matching request.
    pub fn new(endpoint: Endpoint, kind: FaultKind) -> Self {
        Self { endpoint, kind, times: Times::Count(1), skip: 0 }
    }

    /// Applies the fault to `count` requests.
    #[must_use]
    pub fn times(mut self, count: usize) -> Self {
        self.times = Times::Count(count);
        self
    }

    /// Applies the fault to all requests until the faults are cleared.
    #[must_use]
    pub fn forever(mut self) -> Self {
        self.times = Times::Forever;
        self
    }

    /// Skips `count` matching requests first.
    #[must_use]
    pub fn skip(mut self, count: usize) -> Self {
        self.skip = count;
        self
    }

    /// Whether the fault applies to this request. Decrements the counters.
    fn take(&mut self, endpoint: Endpoint) -> bool {
        let matches = self.endpoint == endpoint || self.endpoint == Endpoint::Any;
        if !matches || self.times == Times::Count(0) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        if let Times::Count(remaining) = &mut self.times {
            *remaining -= 1;
        }
        true
    }
}

/// The faults to inject into one request.
#[derive(Debug, Default)]
pub(crate) struct Injection {
    pub(crate) delay: Duration,
    pub(crate) kind: Option<FaultKind>,
    /// The faults as text, for the request record.
    pub(crate) description: Option<String>,
}

/// The faults that are set, in order.
#[derive(Debug, Default)]
pub(crate) struct FaultPlan(pub(crate) Vec<Fault>);

impl FaultPlan {
    /// Takes the faults for the next request to this endpoint. Removes faults that are used up.
    pub(crate) fn next(&mut self, endpoint: Endpoint) -> Injection {
        let mut injection = Injection::default();
        for fault in &mut self.0 {
            if !fault.take(endpoint) {
                continue;
            }
            let kind = fault.kind.to_string();
            injection.description =
                Some(injection.description.map_or(kind.clone(), |before| format!("{before} + {kind}")));
            match &fault.kind {
                FaultKind::Delay(delay) => injection.delay += *delay,
                kind => {
                    injection.kind = Some(kind.clone());
                    break;
                }
            }
        }
        self.0.retain(|fault| fault.times != Times::Count(0));
        injection
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applies_count_times_after_skipped_requests() {
        let mut plan = FaultPlan(vec![Fault::new(Endpoint::Result, FaultKind::Empty).times(2).skip(1)]);
        let mut applies = |endpoint| plan.next(endpoint).kind.is_some();
        assert!(!applies(Endpoint::Claim), "another endpoint uses up no skip");
        let results: Vec<bool> = (0..4).map(|_| applies(Endpoint::Result)).collect();
        assert_eq!(results, [false, true, true, false]);
        assert!(plan.0.is_empty(), "removed when used up");
    }

    #[test]
    fn any_applies_to_all_endpoints_forever() {
        let mut plan = FaultPlan(vec![Fault::new(Endpoint::Any, FaultKind::DropBefore).forever()]);
        for endpoint in
            [Endpoint::Claim, Endpoint::Result, Endpoint::Login, Endpoint::Refresh, Endpoint::Claim]
        {
            assert_eq!(plan.next(endpoint).kind, Some(FaultKind::DropBefore));
        }
    }

    #[test]
    fn delay_combines_with_next_fault_only() {
        let delay = FaultKind::Delay(Duration::from_millis(5));
        let kinds = [delay, FaultKind::status(503), FaultKind::Garbage];
        let mut plan = FaultPlan(kinds.map(|kind| Fault::new(Endpoint::Claim, kind)).to_vec());
        let injection = plan.next(Endpoint::Claim);
        assert_eq!(injection.delay, Duration::from_millis(5));
        assert_eq!(injection.kind, Some(FaultKind::status(503)));
        assert_eq!(injection.description.unwrap(), "delay=5ms + status=503");
        assert_eq!(plan.next(Endpoint::Claim).kind, Some(FaultKind::Garbage));
    }
}
