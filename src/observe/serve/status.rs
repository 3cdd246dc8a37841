//! The status as JSON. docs/metrics.md lists the fields.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::health::{self, Check};
use super::source::{Disk, Source};
use crate::observe::{Delivery, FinishedTask, RunningTask};
use crate::spool::show_time;

/// The status of the runner.
pub(super) async fn status(source: &Source) -> Value {
    let Disk { depth, free } = source.disk().await;
    let observe = &source.observe;
    let confinement = observe.confinement();
    let running = observe.running();
    json!({
        "version": env!("OSTEST_VERSION"),
        "started_at": show_time(observe.started_at()),
        "uptime_seconds": observe.uptime().as_secs(),
        "phase": observe.health().phase.name(),
        "healthy": checks(&health::alive(observe)),
        "ready": checks(&health::ready(source)),
        "sandbox": {
            "level": confinement.level.name(),
            "enforced": confinement.enforcement.to_string(),
            "weaker_because": confinement.weaker_because,
        },
        "slots": { "total": observe.slot_count(), "busy": running.len() },
        "working": running.iter().map(running_task).collect::<Vec<_>>(),
        "spool": {
            "claimed": depth.claimed,
            "results": depth.results,
            "rejected": depth.rejected,
            "aside": depth.aside,
            "oldest_seconds": depth.oldest.map(|age| age.as_secs()),
            "free_bytes": free,
        },
        "last": observe.finished().iter().map(finished_task).collect::<Vec<_>>(),
    })
}

fn checks(checks: &[Check]) -> Value {
    let each =
        checks.iter().map(|check| (check.name.to_owned(), json!({ "ok": check.ok, "says": check.says })));
    json!({ "ok": health::holds(checks), "checks": each.collect::<Map<_, _>>() })
}

fn running_task(task: &RunningTask) -> Value {
    json!({
        "task": task.id,
        "taken_at": show_time(task.taken_at),
        "elapsed_seconds": seconds(task.taken.elapsed()),
        "progress": task.progress,
        "progress_seconds": seconds(task.since.elapsed()),
        "times": times(&task.times),
    })
}

fn finished_task(task: &FinishedTask) -> Value {
    let fault = task.fault.as_ref().map(
        |(progress, cause, message)| json!({ "progress": progress, "cause": cause, "message": message }),
    );
    let (delivery, after, refused) = match task.delivery {
        Delivery::Waits => ("waits", None, None),
        Delivery::Accepted(after) => ("accepted", Some(seconds(after)), None),
        Delivery::Rejected(status) => ("rejected", None, Some(status)),
    };
    json!({
        "task": task.id,
        "taken_at": show_time(task.taken_at),
        "elapsed_seconds": seconds(task.elapsed),
        "verdict": task.verdict,
        "passed": task.passed,
        "tests": task.tests,
        "fault": fault,
        "exit": task.exit,
        "limits_hit": task.limits,
        "times": times(&task.times),
        "cpu_seconds": task.cpu.map(seconds),
        "memory_peak_bytes": task.memory,
        "delivery": { "state": delivery, "seconds": after, "status": refused },
    })
}

fn times(times: &[(&'static str, Duration)]) -> Value {
    times
        .iter()
        .map(|(progress, elapsed)| ((*progress).to_owned(), json!(seconds(*elapsed))))
        .collect::<Map<_, _>>()
        .into()
}

/// A duration in seconds, rounded to a millisecond.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}
