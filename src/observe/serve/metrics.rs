//! The page of `/metrics`, in Prometheus' text format (version 0.0.4), which every scraper reads.

use std::borrow::Cow;
use std::time::Instant;

use prometheus_client::encoding::prometheus_text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

use super::source::{Disk, Source};
use super::{health, process};
use crate::observe::metrics::PREFIX;
use crate::observe::{Confinement, Observe};

pub(super) use prometheus_client::encoding::prometheus_text::CONTENT_TYPE;

/// All metrics: the counters and histograms of the process, and the values that are read now.
pub(super) async fn metrics(source: &Source) -> String {
    let disk = source.disk().await;
    let mut page = String::with_capacity(32 << 10);
    // Writing to a string cannot fail.
    encode(&mut page, source.observe.registry()).ok();
    encode(&mut page, &read_now(source, &disk)).ok();
    page
}

/// The values that are read when the page is made.
fn read_now(source: &Source, disk: &Disk) -> Registry {
    let mut root = Registry::default();
    process::register(&mut root, source.observe.started_at());
    let to = root.sub_registry_with_prefix(PREFIX);
    register_health(to, source);
    register_spool(to, disk);
    register_ages(to, &source.observe);
    let busy = source.observe.running().len() as u64;
    to.register("slots_busy", "Tasks that run", ConstGauge::new(busy));
    let version = [(Cow::from("version"), Cow::from(env!("OSTEST_VERSION")))];
    register_info(to, "build_info", "Version of the runner", version);
    let help = "How tasks are confined: the level and each feature";
    register_info(to, "sandbox_info", help, sandbox_labels(&source.observe.confinement()));
    root
}

/// Registers a gauge that is always 1 and says something in its labels.
fn register_info(
    to: &mut Registry,
    name: &str,
    help: &str,
    labels: impl IntoIterator<Item = (Cow<'static, str>, Cow<'static, str>)>,
) {
    to.sub_registry_with_labels(labels.into_iter()).register(name, help, ConstGauge::new(1_u64));
}

fn sandbox_labels(confinement: &Confinement) -> Vec<(Cow<'static, str>, Cow<'static, str>)> {
    let mut labels = vec![("level".into(), confinement.level.name().into())];
    let features = confinement.enforcement.features.iter();
    labels.extend(
        features.map(|(feature, how)| (feature.name().replace('-', "_").into(), how.to_string().into())),
    );
    labels
}

fn register_health(to: &mut Registry, source: &Source) {
    let (alive, ready) = (health::alive(&source.observe), health::ready(source));
    to.register("healthy", "Whether /healthz answers 200", ConstGauge::new(u64::from(health::holds(&alive))));
    to.register("ready", "Whether /readyz answers 200", ConstGauge::new(u64::from(health::holds(&ready))));
}

fn register_spool(to: &mut Registry, disk: &Disk) {
    let depth = &disk.depth;
    let files: Family<[(&'static str, &'static str); 1], Gauge> = Family::default();
    for (folder, count) in [
        ("claimed", depth.claimed),
        ("results", depth.results),
        ("rejected", depth.rejected),
        ("aside", depth.aside),
    ] {
        files.get_or_create(&[("folder", folder)]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    to.register("spool_files", "Files of the spool, by folder", files);
    let oldest = depth.oldest.unwrap_or_default().as_secs_f64();
    to.register(
        "spool_oldest_seconds",
        "Age of the oldest unanswered task; 0: none",
        ConstGauge::new(oldest),
    );
    if let Some(free) = disk.free {
        to.register("state_free_bytes", "Free space in the state folder", ConstGauge::new(free));
    }
}

fn register_ages(to: &mut Registry, observe: &Observe) {
    let health = observe.health();
    let age = |at: Option<Instant>| ConstGauge::new(at.map_or(-1.0, |at| at.elapsed().as_secs_f64()));
    let help = "Time since the suite's remote last answered; -1: not yet";
    to.register("suite_age_seconds", help, age(health.suite.refreshed));
    let help = "Time since the backend last answered without a 5xx; -1: not yet";
    to.register("backend_last_answer_age_seconds", help, age(health.backend_answered));
}

#[cfg(test)]
mod tests {
    use sandbox::confine::{Enforcement, Feature, Level, Mechanism};

    use super::*;

    #[test]
    fn escapes_label_values() {
        let mut registry = Registry::default();
        register_info(&mut registry, "x", "Help", [("a".into(), "q\"b\\s\nn".into())]);
        let mut page = String::new();
        encode(&mut page, &registry).unwrap();
        assert_eq!(page, "# HELP x Help.\n# TYPE x gauge\nx{a=\"q\\\"b\\\\s\\nn\"} 1\n");
    }

    #[test]
    fn labels_name_each_sandbox_feature() {
        let features = vec![(Feature::PidNamespace, Mechanism::No), (Feature::UserDrop, Mechanism::Yes)];
        let confinement =
            Confinement { level: Level::Basic, enforcement: Enforcement { features }, weaker_because: None };
        let labels = sandbox_labels(&confinement);
        let labels: Vec<_> = labels.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
        assert_eq!(labels, [("level", "basic"), ("pidns", "no"), ("uid_drop", "yes")]);
    }
}
