//! The daemon's run: listens for signals, binds the status address, and works until it has drained.

use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::assemble::{CannotWork, Daemon, OWN_BINARY};
use super::notify::Manager;
use super::reload::{Reload, Reread};
use crate::config::{Config, Given};
use crate::observe::logging::Log;
use crate::observe::screen::Screen;
use crate::observe::serve;
use crate::pipeline::stop::Stop;

/// Takes and answers tasks until a signal stops the runner. `reread` reads the settings again at SIGHUP.
///
/// # Errors
/// A setting is unusable; or [`CannotWork`]: the settings are right, and the next start may succeed.
pub async fn run(
    config: &Config,
    given: Given,
    reread: Reread,
    log: &Log,
    screen: &Screen,
) -> anyhow::Result<()> {
    let manager = Manager::from_environment();
    let stop = Stop::default();
    let signals = stop.listen(screen).context("cannot listen for signals")?;
    let hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    let reload = Reload::new(reread, given, &config.settings, config.running.clone(), log.clone());
    // At boot the address may not exist yet.
    let listener = serve::bind(&config.settings.serve).await;
    let listener = listener.map_err(|error| CannotWork(format!("{error:#}")))?;
    let mut daemon = Daemon::new(config, OWN_BINARY).await?;
    let status = serve::run(listener, daemon.status_source(config));
    manager.ready().await;
    let observe = daemon.observe().clone();
    // Only the work ends by itself; the other futures run beside it for as long as it takes.
    let ended = tokio::select! {
        () = work(&mut daemon, &stop) => return Ok(()),
        () = stop.interrupt_after(config.running.drain.clone()) => "the limit of the drain",
        () = signals => "listening for signals",
        () = status => "the status server",
        () = manager.run(&observe, &stop, wind_up(config)) => "the notification of the service manager",
        () = reload_at_hangup(hangup, reload, log, &manager) => "listening for SIGHUP",
    };
    Err(CannotWork(format!("{ended} has ended unexpectedly")).into())
}

/// Delivers what an earlier run has finished, prepares the suite, then works until `stop` drains.
async fn work(daemon: &mut Daemon, stop: &Stop) {
    daemon.deliver_found().await;
    if daemon.warm_up_or_stop(stop).await {
        daemon.run(stop).await;
    } else {
        daemon.flush().await;
    }
    daemon.settle().await;
}

/// Reopens the log file and reloads the settings at each SIGHUP.
async fn reload_at_hangup(mut hangup: Signal, mut reload: Reload, log: &Log, manager: &Manager) {
    while hangup.recv().await.is_some() {
        manager.reloading().await;
        log.reopen();
        reload.reload();
        manager.ready().await;
    }
}

/// The longest time that interrupted work takes to end: three graces for a command, then its report and the flush.
fn wind_up(config: &Config) -> Duration {
    config.settings.process.grace.saturating_mul(3).saturating_add(Duration::from_secs(60))
}
