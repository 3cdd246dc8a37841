//! What the runner does and did, as JSON: docs/metrics.md has the fields.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::health::{self, Check};
use super::{Disk, Source};
use crate::observe::{Delivery, Ended, Working};
use crate::spool::show_time;

pub(super) async fn status(source: &Source) -> Value {
    let Disk { depth, free } = source.disk().await;
    let observe = &source.observe;
    let confinement = observe.confinement();
    let working = observe.working();
    json!({
        "version": env!("OSTEST_VERSION"),
        "started_at": show_time(observe.started_at()),
        "uptime_seconds": observe.uptime().as_secs(),
        "phase": observe.health().phase.name(),
        "healthy": checks(&health::alive(observe)),
        "ready": checks(&health::ready(source)),
        "sandbox": {
            "level": confinement.level,
            "enforced": confinement.line,
            "weaker_because": confinement.weaker_because,
        },
        "slots": { "total": observe.slot_count(), "busy": working.len() },
        "working": working.iter().map(one_working).collect::<Vec<_>>(),
        "spool": {
            "claimed": depth.claimed,
            "results": depth.results,
            "rejected": depth.rejected,
            "aside": depth.aside,
            "oldest_seconds": depth.oldest.map(|age| age.as_secs()),
            "free_bytes": free,
        },
        "last": observe.ended().iter().map(one_ended).collect::<Vec<_>>(),
    })
}

fn checks(checks: &[Check]) -> Value {
    let each = checks.iter().map(|check| {
        let of = json!({ "ok": check.ok, "says": check.says });
        (check.name.to_owned(), of)
    });
    json!({ "ok": health::holds(checks), "checks": each.collect::<Map<_, _>>() })
}

fn one_working(task: &Working) -> Value {
    json!({
        "task": task.id,
        "taken_at": show_time(task.taken_at),
        "elapsed_seconds": seconds(task.taken.elapsed()),
        "progress": task.progress,
        "progress_seconds": seconds(task.since.elapsed()),
        "times": times(&task.times),
    })
}

fn one_ended(task: &Ended) -> Value {
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
        "elapsed_seconds": seconds(task.took),
        "verdict": task.verdict,
        "passed": task.passed.0,
        "tests": task.passed.1,
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
        .map(|(progress, took)| ((*progress).to_owned(), json!(seconds(*took))))
        .collect::<Map<_, _>>()
        .into()
}

/// To the millisecond.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}
