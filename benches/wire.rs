//! Parses a claim and serializes a result of 1,000 cases.

use std::time::Duration;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use ostest_runner::backend::wire;
use ostest_runner::task::TaskId;
use report::{Case, Limits, Outcome, Report};
use serde_json::value::RawValue;

fn main() {
    divan::main();
}

const CLAIM: &[u8] = br#"{"id":"3fa85f64-5717-4562-b3fc-2c963f66afa6","status":"AVAILABLE",
    "repositoryUrl":"https://example.org/student/os-labs.git","branch":"main","laboratoryNumber":1,
    "connectedTests":["test_make","test_run[2-SIGINT]","test_run[15-SIGTERM]"]}"#;

#[divan::bench]
fn claim(bencher: Bencher<'_, '_>) {
    bencher.counter(BytesCount::of_slice(CLAIM)).bench(|| wire::claim_from_body(black_box(CLAIM)));
}

/// Every tenth case fails, with a description of `description` bytes.
#[divan::bench(args = [0, 1_000, 16_000])]
fn result_of_1000_cases(bencher: Bencher<'_, '_>, description: usize) {
    let mut report = Report { duration: Duration::from_secs(3), ..Report::default() };
    for number in 0..1_000 {
        let outcome = if number % 10 == 9 { Outcome::Failed } else { Outcome::Passed };
        let length = if outcome == Outcome::Failed { description } else { 0 };
        report.tally.count(outcome);
        report.cases.push(Case {
            name: format!("test_module::test_case[{number}]"),
            outcome,
            description: "E   assert \"1\" == 2\n".chars().cycle().take(length).collect(),
            duration: Duration::from_millis(2),
            memory: Some(11 << 20),
        });
    }
    let id = TaskId::new(RawValue::from_string("\"3fa85f64\"".to_owned()).unwrap_or_default());
    let limits = Limits::default();
    let body = wire::result_body(&id, &report, &limits);
    bencher
        .counter(BytesCount::of_slice(&body))
        .bench(|| wire::result_body(black_box(&id), black_box(&report), &limits));
}
