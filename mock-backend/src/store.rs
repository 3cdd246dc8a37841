//! What the backend keeps: attempts and their results, refused results, violations and the requests themselves.
//! Everything is in memory; nothing here waits or speaks HTTP.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use serde_json::Value;

use crate::fault::Endpoint;
use crate::task::TaskId;
use crate::verdict::{Reading, TaskResult};

/// Where an attempt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// Submitted, not claimed.
    Pending,
    /// Claimed, not answered.
    InProgress,
    /// Answered: passed.
    Success,
    /// Answered: not passed.
    Failure,
    /// Answered: the run itself went wrong.
    Error,
    /// Given up by the sweep; a later result replaces this.
    Timeout,
}

impl Status {
    fn of(result: &TaskResult) -> Self {
        match (result.is_error, result.is_passed) {
            (true, _) => Self::Error,
            (false, true) => Self::Success,
            (false, false) => Self::Failure,
        }
    }

    /// The deployed backend's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::InProgress => "IN_PROGRESS",
            Self::Success => "SUCCESS",
            Self::Failure => "FAILURE",
            Self::Error => "ERROR",
            Self::Timeout => "TIMEOUT",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A task that was submitted, and what became of it.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Its id; `None` where the claim has none.
    pub id: Option<TaskId>,
    /// The answer to its claim.
    pub claim: Bytes,
    /// Where it stands.
    pub status: Status,
    /// When it was submitted.
    pub created: Instant,
    /// When it was claimed.
    pub claimed: Option<Instant>,
    /// Its result.
    pub result: Option<StoredResult>,
}

/// A result that was accepted.
#[derive(Debug, Clone)]
pub struct StoredResult {
    /// The id of the attempt, as it was submitted.
    pub id: TaskId,
    /// The latest body, byte for byte.
    pub body: Bytes,
    /// The latest body, read.
    pub result: TaskResult,
    /// When the first one came.
    pub received: Instant,
    /// How many were accepted for this attempt: 1, and one more for each duplicate.
    pub times: usize,
    /// The bodies that differ from the one before, in order; just one where every duplicate was the same.
    pub versions: Vec<Bytes>,
}

/// A result that was not accepted.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// Its id, if it could be read.
    pub id: Option<TaskId>,
    /// The status it was answered with.
    pub status: u16,
    /// Why.
    pub why: String,
    /// The body, byte for byte.
    pub body: Bytes,
    /// When.
    pub at: Instant,
}

/// A place where the other side does not hold to the contract.
#[derive(Debug, Clone)]
pub struct Violation {
    /// The id of the result that it was found in, if it could be read.
    pub id: Option<TaskId>,
    /// What is wrong.
    pub what: String,
    /// The body, byte for byte.
    pub body: Bytes,
}

/// A request as it came, apart from those under `/mock/`.
#[derive(Debug, Clone)]
pub struct RequestRecord {
    /// Counts from 0.
    pub number: u64,
    /// When it was complete.
    pub at: Instant,
    /// What it asked for; `None` where method and path are none of the contract.
    pub endpoint: Option<Endpoint>,
    /// The method.
    pub method: String,
    /// The path, with its query.
    pub path: String,
    /// The headers in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// The status that it was answered with; `None` while it is being answered, and for a dropped one.
    pub status: Option<u16>,
    /// The fault that it met.
    pub fault: Option<String>,
}

impl RequestRecord {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// The state of the backend.
#[derive(Default)]
pub(crate) struct Store {
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) refusals: Vec<Refusal>,
    pub(crate) violations: Vec<Violation>,
    pub(crate) requests: VecDeque<RequestRecord>,
    /// Indexes of the attempts with a result, in the order in which their first one came.
    answered: Vec<usize>,
    pending: VecDeque<usize>,
    by_id: HashMap<TaskId, Vec<usize>>,
    requests_so_far: u64,
}

impl Store {
    pub(crate) fn submit(&mut self, id: Option<TaskId>, claim: Bytes) {
        let index = self.attempts.len();
        if let Some(id) = &id {
            self.by_id.entry(id.clone()).or_default().push(index);
        }
        self.pending.push_back(index);
        let created = Instant::now();
        let status = Status::Pending;
        self.attempts.push(Attempt { id, claim, status, created, claimed: None, result: None });
    }

    /// Hands out the oldest pending attempt. Destructive: it is `IN_PROGRESS` from here on.
    pub(crate) fn claim(&mut self) -> Option<&Attempt> {
        let attempt = &mut self.attempts[self.pending.pop_front()?];
        attempt.status = Status::InProgress;
        attempt.claimed = Some(Instant::now());
        Some(attempt)
    }

    /// The attempt that a result with this id is for: the first one that was claimed and has no result, else the
    /// latest that was
    /// claimed, else the latest. The flag says whether the id came back as it was written, character by character.
    pub(crate) fn find(&self, id: &TaskId) -> Option<(usize, bool)> {
        if let Some(indexes) = self.by_id.get(id) {
            let claimed = |index: &&usize| self.attempts[**index].claimed.is_some();
            let open = |index: &&usize| self.attempts[**index].result.is_none();
            let mut of_claimed = indexes.iter().filter(claimed);
            let found = of_claimed.clone().find(open).or(of_claimed.next_back()).or(indexes.last());
            return found.map(|index| (*index, true));
        }
        let value: Value = serde_json::from_str(id.as_json()).ok()?;
        let same = |known: &&TaskId| {
            serde_json::from_str::<Value>(known.as_json()).is_ok_and(|known| known == value)
        };
        let known = self.by_id.keys().find(same)?;
        self.find(known).map(|(index, _)| (index, false))
    }

    /// Stores a result that was checked before.
    pub(crate) fn accept(&mut self, index: usize, reading: Reading, body: Bytes) -> &Attempt {
        let attempt = &mut self.attempts[index];
        attempt.status = Status::of(&reading.result);
        if let Some(stored) = &mut attempt.result {
            stored.times += 1;
            if stored.body != body {
                stored.versions.push(body.clone());
                stored.body = body;
                stored.result = reading.result;
            }
        } else {
            let id = attempt.id.clone().unwrap_or(reading.id);
            let (received, versions) = (Instant::now(), vec![body.clone()]);
            attempt.result =
                Some(StoredResult { id, body, result: reading.result, received, times: 1, versions });
            self.answered.push(index);
        }
        attempt
    }

    /// The accepted results, in the order in which the first of each came.
    pub(crate) fn results(&self) -> impl ExactSizeIterator<Item = Option<&StoredResult>> {
        self.answered.iter().map(|index| self.attempts[*index].result.as_ref())
    }

    /// Marks TIMEOUT what is `IN_PROGRESS` and was created longer ago than `age`.
    pub(crate) fn sweep(&mut self, age: Duration) -> Vec<Option<TaskId>> {
        let old =
            |attempt: &&mut Attempt| attempt.status == Status::InProgress && attempt.created.elapsed() > age;
        let old = self.attempts.iter_mut().filter(old);
        old.map(|attempt| {
            attempt.status = Status::Timeout;
            attempt.id.clone()
        })
        .collect()
    }

    /// Remembers a request, and gives its number.
    pub(crate) fn record(&mut self, mut request: RequestRecord, keep: usize) -> u64 {
        let number = self.requests_so_far;
        self.requests_so_far += 1;
        request.number = number;
        self.requests.push_back(request);
        while self.requests.len() > keep {
            self.requests.pop_front();
        }
        number
    }

    /// Completes a request that is still remembered.
    pub(crate) fn record_answer(&mut self, number: u64, status: Option<u16>, fault: Option<String>) {
        if let Some(request) = self.requests.iter_mut().rev().find(|request| request.number == number) {
            request.status = status;
            request.fault = fault;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(ids: &[&str]) -> Store {
        let mut store = Store::default();
        for id in ids {
            store.submit(Some(TaskId::raw(*id)), Bytes::from_static(b"{}"));
        }
        store
    }

    fn reading(id: &str, passed: bool, error: bool) -> (Reading, Bytes) {
        let body = format!(
            r#"{{"id":{id},"isPassed":{passed},"duration":1,"testResults":[],"isError":{error},"errorDetails":""}}"#
        );
        (Reading::of(body.as_bytes()).unwrap(), Bytes::from(body))
    }

    fn answer(store: &mut Store, id: &str, passed: bool, error: bool) {
        let index = store.find(&TaskId::raw(id)).unwrap().0;
        let (reading, body) = reading(id, passed, error);
        store.accept(index, reading, body);
    }

    #[test]
    fn claims_go_out_in_order_and_once() {
        let mut store = store(&["1", "2"]);
        let mut next = || store.claim().map(|attempt| attempt.id.clone().unwrap().to_string());
        assert_eq!([next(), next(), next()], [Some("1".into()), Some("2".into()), None]);
    }

    #[test]
    fn the_status_is_derived_from_error_before_passed() {
        let mut store = store(&["1", "2", "3"]);
        answer(&mut store, "1", true, true);
        answer(&mut store, "2", true, false);
        answer(&mut store, "3", false, false);
        let statuses: Vec<Status> = store.attempts.iter().map(|attempt| attempt.status).collect();
        assert_eq!(statuses, [Status::Error, Status::Success, Status::Failure]);
    }

    #[test]
    fn a_duplicate_is_counted_and_a_different_one_kept() {
        let mut store = store(&["1"]);
        store.claim();
        for passed in [false, false, true] {
            answer(&mut store, "1", passed, false);
        }
        let stored = store.attempts[0].result.as_ref().unwrap();
        assert_eq!((stored.times, stored.versions.len()), (3, 2));
        assert_eq!(store.results().len(), 1);
        assert_eq!(store.attempts[0].status, Status::Success);
    }

    #[test]
    fn an_id_that_is_submitted_again_is_a_new_attempt() {
        let mut store = store(&["1", "1"]);
        store.claim();
        answer(&mut store, "1", true, false);
        store.claim();
        answer(&mut store, "1", false, false);
        // A late duplicate goes to the latest.
        answer(&mut store, "1", false, false);
        let times = |index: usize| store.attempts[index].result.as_ref().map(|stored| stored.times);
        assert_eq!([times(0), times(1)], [Some(1), Some(2)]);
        assert_eq!(store.attempts[0].status, Status::Success);
    }

    #[test]
    fn two_claims_of_one_id_are_answered_one_after_the_other() {
        let mut store = store(&["1", "1"]);
        assert!(store.claim().is_some() && store.claim().is_some());
        answer(&mut store, "1", true, false);
        answer(&mut store, "1", false, false);
        let statuses: Vec<Status> = store.attempts.iter().map(|attempt| attempt.status).collect();
        assert_eq!(statuses, [Status::Success, Status::Failure]);
    }

    #[test]
    fn a_reformatted_id_is_found_and_told_apart() {
        let store = store(&["1.50", r#""a""#]);
        assert_eq!(store.find(&TaskId::raw("1.50")), Some((0, true)));
        assert_eq!(store.find(&TaskId::raw("1.5")), Some((0, false)));
        assert_eq!(store.find(&TaskId::raw(r#""\u0061""#)), Some((1, false)));
        assert_eq!(store.find(&TaskId::raw("2")), None);
    }

    #[test]
    fn the_sweep_takes_what_is_claimed_and_old_and_a_late_result_replaces_it() {
        let mut store = store(&["1", "2"]);
        store.claim();
        assert!(store.sweep(Duration::from_secs(600)).is_empty());
        store.attempts[0].created -= Duration::from_millis(1);
        assert_eq!(store.sweep(Duration::ZERO), [Some(TaskId::from(1))]);
        assert_eq!(store.attempts[0].status, Status::Timeout);
        assert_eq!(store.attempts[1].status, Status::Pending);
        answer(&mut store, "1", true, false);
        assert_eq!(store.attempts[0].status, Status::Success);
    }
}
