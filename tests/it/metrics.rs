//! Tests of metrics that depend on time: ages, histograms, token refreshes, the list of the last tasks.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mock_backend::{Endpoint, Fault, FaultKind, Settings};
use serde_json::Value;
use tokio::time::sleep;

use crate::observing::{address, becomes, get, value};
use crate::support::{PASS, PATIENCE, World};

const LISTEN: [&str; 2] = ["--listen", "127.0.0.1:0"];

/// Waits until `holds` accepts the value of a series.
async fn wait_for_value(world: &World, series: &str, holds: impl Fn(f64) -> bool) -> f64 {
    let address = address(&world.runner).await;
    let end = Instant::now() + PATIENCE;
    loop {
        let metrics = get(address, "/metrics").await.1;
        let found = value(&metrics, &format!("ostest_runner_{series}"));
        if holds(found) {
            return found;
        }
        assert!(Instant::now() < end, "{series} stays {found}\n{metrics}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn counts_token_refreshes_by_outcome() {
    let settings = Settings { auth: true, ..Settings::default() };
    let arguments = [&LISTEN[..], &["--auth", "--refresh-time", "200ms"]].concat();
    let world = World::with(settings, &arguments).await;
    wait_for_value(&world, "token_refreshes_total{outcome=\"accepted\"}", |count| count >= 1.0).await;
    world.backend.forget_refresh_tokens();
    wait_for_value(&world, "token_refreshes_total{outcome=\"refused\"}", |count| count >= 1.0).await;
    // The runner logs in again after a refusal.
    wait_for_value(&world, "logins_total{outcome=\"accepted\"}", |count| count >= 2.0).await;
    becomes(address(&world.runner).await, "/readyz", 200, "ok credentials").await;
}

#[tokio::test]
async fn measures_age_of_spool_and_last_answers() {
    let world = World::with(Settings::default(), &LISTEN).await;
    let ages = ["backend_last_answer_age_seconds", "suite_age_seconds"];
    for series in ages {
        let age = wait_for_value(&world, series, |age| age >= 0.0).await;
        assert!(age < 20.0, "{series}: {age}");
    }
    wait_for_value(&world, "spool_oldest_seconds", |age| age.abs() < 1e-9).await;
    world.backend.fault(Fault::new(Endpoint::Result, FaultKind::status(503)).times(1_000));
    let id = world.submit(PASS);
    wait_for_value(&world, "spool_oldest_seconds", |age| age > 0.5).await;
    wait_for_value(&world, "spool_files{folder=\"results\"}", |count| count > 0.5).await;
    world.backend.clear_faults();
    world.answer(&id).await;
    wait_for_value(&world, "spool_oldest_seconds", |age| age.abs() < 1e-9).await;
    world.backend.go_down().await;
    wait_for_value(&world, ages[0], |age| age > 1.0).await;
}

/// The buckets of each histogram in order, by name and labels without `le`.
fn histograms(metrics: &str) -> BTreeMap<String, Vec<(String, f64)>> {
    let mut found: BTreeMap<String, Vec<(String, f64)>> = BTreeMap::new();
    for line in metrics.lines().filter(|line| line.contains("_bucket{")) {
        let (series, count) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.trim_end_matches('}').split_once("_bucket{").unwrap();
        let (others, bound): (Vec<_>, Vec<_>) =
            labels.split(',').partition(|label| !label.starts_with("le="));
        let bound = bound[0].trim_start_matches("le=").trim_matches('"').to_owned();
        let others = others.join(",");
        let key = if others.is_empty() { name.to_owned() } else { format!("{name} {others}") };
        found.entry(key).or_default().push((bound, count.parse().unwrap()));
    }
    found
}

#[tokio::test]
async fn status_keeps_last_fifty_and_histograms_add_up() {
    let world =
        World::with(Settings::default(), &[&LISTEN[..], &["--concurrent", "4", "--mock"]].concat()).await;
    let ids: Vec<_> = (0..60).map(|_| world.submit(PASS)).collect();
    for id in &ids {
        world.answer(id).await;
    }
    wait_for_value(&world, "deliveries_total{outcome=\"accepted\"}", |count| count > 59.5).await;
    let address = address(&world.runner).await;
    let status: Value = serde_json::from_str(&get(address, "/status").await.1).unwrap();
    let last = status["last"].as_array().unwrap();
    assert_eq!(last.len(), 50);
    let times: Vec<_> = last.iter().map(|task| task["taken_at"].as_str().unwrap()).collect();
    assert!(times.first() >= times.last(), "the newest task is not the first: {times:?}");
    let newest = last.iter().map(|task| task["task"].as_str().unwrap()).collect::<Vec<_>>();
    assert!(
        ids.iter().rev().take(4).any(|id| newest[..8].contains(&id.to_string().trim_matches('"'))),
        "{newest:?}"
    );
    let page = crate::observing::page(address).await;
    let (_, table) = page.split_once("<h2>Last tasks</h2>").unwrap();
    assert_eq!(table.matches("<tr><td").count(), 50, "{table}");
    assert!(table.contains("deliver "), "the table has no time of delivery: {table}");

    let metrics = get(address, "/metrics").await.1;
    let histograms = histograms(&metrics);
    assert!(histograms.len() >= 8, "{:?}", histograms.keys());
    for (name, buckets) in histograms {
        assert!(
            buckets.len() > 3 && buckets.windows(2).all(|two| two[0].1 <= two[1].1),
            "{name}: {buckets:?}"
        );
        let bounds: Vec<f64> =
            buckets.iter().map(|(bound, _)| bound.parse().unwrap_or(f64::INFINITY)).collect();
        assert!(bounds.windows(2).all(|two| two[0] < two[1]), "{name}: {bounds:?}");
        let (bound, all) = buckets.last().unwrap();
        let (plain, labels) = name
            .split_once(' ')
            .map_or((name.as_str(), String::new()), |(plain, labels)| (plain, format!("{{{labels}}}")));
        let count = value(&metrics, &format!("{plain}_count{labels}"));
        assert!(bound == "+Inf" && (all - count).abs() < 0.1, "{name}: {buckets:?}, {count}");
        value(&metrics, &format!("{plain}_sum{labels}"));
    }
}
