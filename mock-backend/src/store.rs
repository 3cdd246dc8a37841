//! The state of the backend: attempts with their results, refused results, violations and requests.
//! Everything is in memory; no method blocks or does I/O.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use serde_json::Value;

use crate::records::{Attempt, Refusal, RequestRecord, Status, StoredResult, Violation};
use crate::submission::Submission;
use crate::task::TaskId;

/// The state of the backend.
#[derive(Default)]
pub(crate) struct Store {
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) refusals: Vec<Refusal>,
    pub(crate) violations: Vec<Violation>,
    pub(crate) requests: VecDeque<RequestRecord>,
    /// Indexes of the attempts with a result, in the order of their first results.
    answered: Vec<usize>,
    /// Indexes of the attempts that are not claimed, oldest first.
    pending: VecDeque<usize>,
    by_id: HashMap<TaskId, Vec<usize>>,
    next_request_number: u64,
}

impl Store {
    /// Adds a pending attempt.
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

    /// Claims the oldest pending attempt and marks it `IN_PROGRESS`.
    pub(crate) fn claim(&mut self) -> Option<&Attempt> {
        let attempt = &mut self.attempts[self.pending.pop_front()?];
        attempt.status = Status::InProgress;
        attempt.claimed = Some(Instant::now());
        Some(attempt)
    }

    /// Finds the attempt for a result with this id: the first claimed attempt without a result, else the latest claimed
    /// one, else the latest one. The flag is true if the id equals the submitted id byte for byte, and false if only the
    /// JSON values are equal.
    pub(crate) fn find(&self, id: &TaskId) -> Option<(usize, bool)> {
        if let Some(indexes) = self.by_id.get(id) {
            let claimed = |index: &&usize| self.attempts[**index].claimed.is_some();
            let unanswered = |index: &&usize| self.attempts[**index].result.is_none();
            let mut candidates = indexes.iter().filter(claimed);
            let found = candidates.clone().find(unanswered).or(candidates.next_back()).or(indexes.last());
            return found.map(|index| (*index, true));
        }
        let value: Value = serde_json::from_str(id.as_json()).ok()?;
        let same = |known: &&TaskId| {
            serde_json::from_str::<Value>(known.as_json()).is_ok_and(|known| known == value)
        };
        let known = self.by_id.keys().find(same)?;
        self.find(known).map(|(index, _)| (index, false))
    }

    /// Stores a validated result for the attempt at `index`.
    pub(crate) fn accept(&mut self, index: usize, submission: Submission, body: Bytes) -> &Attempt {
        let attempt = &mut self.attempts[index];
        attempt.status = Status::from_result(&submission.result);
        if let Some(stored) = &mut attempt.result {
            stored.deliveries += 1;
            if stored.body != body {
                stored.versions.push(body.clone());
                stored.body = body;
                stored.result = submission.result;
            }
        } else {
            let id = attempt.id.clone().unwrap_or(submission.id);
            let (received, versions) = (Instant::now(), vec![body.clone()]);
            attempt.result =
                Some(StoredResult { id, body, result: submission.result, received, deliveries: 1, versions });
            self.answered.push(index);
        }
        attempt
    }

    /// The accepted results, one for each attempt, in the order of their first results.
    pub(crate) fn results(&self) -> impl ExactSizeIterator<Item = Option<&StoredResult>> {
        self.answered.iter().map(|index| self.attempts[*index].result.as_ref())
    }

    /// Marks attempts `TIMEOUT` that are `IN_PROGRESS` and were created longer than `age` ago. Returns their ids.
    pub(crate) fn sweep(&mut self, age: Duration) -> Vec<Option<TaskId>> {
        let expired =
            |attempt: &&mut Attempt| attempt.status == Status::InProgress && attempt.created.elapsed() > age;
        let time_out = |attempt: &mut Attempt| {
            attempt.status = Status::Timeout;
            attempt.id.clone()
        };
        self.attempts.iter_mut().filter(expired).map(time_out).collect()
    }

    /// Records a request and returns its number. Keeps at most `limit` records and drops the oldest first.
    pub(crate) fn record(&mut self, mut request: RequestRecord, limit: usize) -> u64 {
        let number = self.next_request_number;
        self.next_request_number += 1;
        request.number = number;
        self.requests.push_back(request);
        while self.requests.len() > limit {
            self.requests.pop_front();
        }
        number
    }

    /// Adds the response to the record of a request, unless the record was dropped.
    pub(crate) fn record_response(&mut self, number: u64, status: Option<u16>, fault: Option<String>) {
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

    fn submission(id: &str, passed: bool, error: bool) -> (Submission, Bytes) {
        let body = format!(
            r#"{{"id":{id},"isPassed":{passed},"duration":1,"testResults":[],"isError":{error},"errorDetails":""}}"#
        );
        (Submission::parse(body.as_bytes()).unwrap(), Bytes::from(body))
    }

    fn add_result(store: &mut Store, id: &str, passed: bool, error: bool) {
        let index = store.find(&TaskId::raw(id)).unwrap().0;
        let (submission, body) = submission(id, passed, error);
        store.accept(index, submission, body);
    }

    #[test]
    fn claims_each_attempt_once_in_order() {
        let mut store = store(&["1", "2"]);
        let mut next = || store.claim().map(|attempt| attempt.id.clone().unwrap().to_string());
        assert_eq!([next(), next(), next()], [Some("1".into()), Some("2".into()), None]);
    }

    #[test]
    fn derives_status_from_error_before_passed() {
        let mut store = store(&["1", "2", "3"]);
        add_result(&mut store, "1", true, true);
        add_result(&mut store, "2", true, false);
        add_result(&mut store, "3", false, false);
        let statuses: Vec<Status> = store.attempts.iter().map(|attempt| attempt.status).collect();
        assert_eq!(statuses, [Status::Error, Status::Success, Status::Failure]);
    }

    #[test]
    fn counts_duplicates_and_keeps_differing_bodies() {
        let mut store = store(&["1"]);
        store.claim();
        for passed in [false, false, true] {
            add_result(&mut store, "1", passed, false);
        }
        let stored = store.attempts[0].result.as_ref().unwrap();
        assert_eq!((stored.deliveries, stored.versions.len()), (3, 2));
        assert_eq!(store.results().len(), 1);
        assert_eq!(store.attempts[0].status, Status::Success);
    }

    #[test]
    fn resubmitted_id_creates_new_attempt() {
        let mut store = store(&["1", "1"]);
        store.claim();
        add_result(&mut store, "1", true, false);
        store.claim();
        add_result(&mut store, "1", false, false);
        // A late duplicate belongs to the latest attempt.
        add_result(&mut store, "1", false, false);
        let deliveries = |index: usize| store.attempts[index].result.as_ref().map(|stored| stored.deliveries);
        assert_eq!([deliveries(0), deliveries(1)], [Some(1), Some(2)]);
        assert_eq!(store.attempts[0].status, Status::Success);
    }

    #[test]
    fn assigns_results_of_same_id_in_order() {
        let mut store = store(&["1", "1"]);
        assert!(store.claim().is_some() && store.claim().is_some());
        add_result(&mut store, "1", true, false);
        add_result(&mut store, "1", false, false);
        let statuses: Vec<Status> = store.attempts.iter().map(|attempt| attempt.status).collect();
        assert_eq!(statuses, [Status::Success, Status::Failure]);
    }

    #[test]
    fn finds_reformatted_id_as_inexact() {
        let store = store(&["1.50", r#""a""#]);
        assert_eq!(store.find(&TaskId::raw("1.50")), Some((0, true)));
        assert_eq!(store.find(&TaskId::raw("1.5")), Some((0, false)));
        assert_eq!(store.find(&TaskId::raw(r#""\u0061""#)), Some((1, false)));
        assert_eq!(store.find(&TaskId::raw("2")), None);
    }

    #[test]
    fn sweep_times_out_claims_until_late_result() {
        let mut store = store(&["1", "2"]);
        store.claim();
        assert!(store.sweep(Duration::from_secs(600)).is_empty());
        store.attempts[0].created -= Duration::from_millis(1);
        assert_eq!(store.sweep(Duration::ZERO), [Some(TaskId::from(1))]);
        assert_eq!(store.attempts[0].status, Status::Timeout);
        assert_eq!(store.attempts[1].status, Status::Pending);
        add_result(&mut store, "1", true, false);
        assert_eq!(store.attempts[0].status, Status::Success);
    }
}
