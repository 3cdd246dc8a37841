use std::time::{Duration, Instant};

use serde_json::value::RawValue;

use prometheus_client::encoding::prometheus_text::encode;
use report::{Cause, Fault, Progress, Report};

use super::*;
use crate::task::TaskId;

fn id(text: &str) -> TaskId {
    TaskId::new(RawValue::from_string(format!("\"{text}\"")).unwrap())
}

fn page(observe: &Observe) -> String {
    let mut page = String::new();
    encode(&mut page, observe.registry()).unwrap();
    page
}

#[test]
fn shows_task_progress_and_counts_end() {
    let observe = Observe::default();
    let watch = observe.task(&id("a"), false);
    watch.progress(Progress::Checkout);
    watch.progress(Progress::Execute);
    assert_eq!(observe.running()[0].progress, "execute");
    let fault = Fault::new(Progress::Execute, Cause::Limit, "timed out at http://u:secret@h/");
    watch.done(&Report::of_fault(fault, Duration::ZERO));
    drop(watch);
    assert!(observe.running().is_empty());
    let finished = &observe.finished()[0];
    assert_eq!((finished.verdict, finished.delivery), ("ERROR", Delivery::Waits));
    let times: Vec<_> = finished.times.iter().map(|(progress, _)| *progress).collect();
    assert_eq!(times, ["claim", "checkout", "execute"]);
    assert!(!finished.fault.as_ref().unwrap().2.contains("secret"));
    observe.delivered("a", Duration::from_secs(3));
    assert_eq!(observe.finished()[0].delivery, Delivery::Accepted(Duration::from_secs(3)));
    let page = page(&observe);
    for line in [
        "ostest_runner_claims_total 1",
        "ostest_runner_results_total{verdict=\"ERROR\"} 1",
        "ostest_runner_results_total{verdict=\"SUCCESS\"} 0",
        "ostest_runner_faults_total{progress=\"execute\",cause=\"limit\"} 1",
        "ostest_runner_progress_duration_seconds_count{progress=\"execute\"} 1",
        "ostest_runner_progress_duration_seconds_bucket{progress=\"deliver\",le=\"2.5\"} 0",
        "ostest_runner_progress_duration_seconds_bucket{progress=\"deliver\",le=\"5\"} 1",
        "ostest_runner_progress_duration_seconds_bucket{progress=\"deliver\",le=\"+Inf\"} 1",
        "ostest_runner_progress_duration_seconds_sum{progress=\"deliver\"} 3.0",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n{page}");
    }
}

#[test]
fn only_the_last_fifty_are_remembered() {
    let observe = Observe::default();
    for number in 0..60 {
        observe.task(&id(&number.to_string()), true).done(&Report::default());
    }
    let finished = observe.finished();
    assert_eq!((finished.len(), finished[0].id.as_str(), finished[49].id.as_str()), (50, "59", "10"));
}

#[test]
fn loop_is_stuck_after_phase_deadline() {
    let observe = Observe::default();
    let later = |seconds| Instant::now() + Duration::from_secs(seconds);
    assert_eq!(observe.health().stuck_at(later(86_400)), None, "warming up takes what it takes");
    observe.phase(Phase::Pausing, Some(Duration::from_secs(60)));
    assert_eq!(observe.health().stuck_at(later(80)), None);
    let why = observe.health().stuck_at(later(100)).unwrap();
    assert!(why.contains("idle for 1"), "{why}");
    observe.phase(Phase::Full, None);
    assert_eq!(observe.health().stuck_at(later(86_400)), None, "tasks have their own deadline");
}

#[test]
fn backend_answer_clears_failure() {
    let observe = Observe::default();
    assert!(!observe.health().backend_asked);
    observe.contact(Err("refused".to_owned()));
    assert_eq!(observe.health().backend_trouble.as_deref(), Some("refused"));
    observe.contact(Ok(503));
    assert_eq!(observe.health().backend_trouble.as_deref(), Some("it answers 503"));
    observe.contact(Ok(404));
    assert_eq!(observe.health().backend_trouble, None);
}
