//! The bench: measures the real runner against the mock backend and compares each figure with its limit. `benches/README.md`
//! describes every row and how it is measured.
//!
//! Only machine-independent rows fail the bench: requests per interval, growth of descriptors, files left, processes and
//! fsyncs per task. Exit codes: 0 passed, 1 such a row is over its limit, 2 cannot run.

mod breakdown;
mod by_hand;
mod daemon;
mod disk;
mod first_task;
mod idle;
mod large_report;
mod latency;
mod machine;
mod markdown;
mod real_suite;
mod row;
mod start;
mod stats;
mod syscalls;
mod table;
mod throughput;
mod workload;
mod world;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tools::print_line;
use tools::programs::find_runner;

use crate::idle::IdleRunner;
use crate::machine::Machine;
use crate::real_suite::RealSuite;
use crate::table::Table;
use crate::workload::Workload;
use crate::world::World;

/// Measures speed and resource usage of the runner, and compares each figure with its limit
#[derive(Debug, Parser)]
#[command(name = "bench", version, max_term_width = 100)]
struct Cli {
    /// Half a minute instead of three
    #[arg(long)]
    short: bool,
    /// Also write the table to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Seed of the random numbers [default: random; it is printed]
    #[arg(long)]
    seed: Option<u64>,
    /// The runner's binary [default: the one beside this program; `cargo run` builds it first]
    #[arg(long, value_name = "PATH")]
    runner: Option<PathBuf>,
    #[command(flatten)]
    real_suite: RealSuite,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    // A signal drops the measurement, which kills its runners.
    let finished = tokio::select! {
        finished = run(&cli) => finished,
        () = stop_signal() => Err("stopped by a signal".to_owned()),
    };
    match finished {
        Ok(table) if table.fails() => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        Err(message) => {
            // A closed stderr must not change the exit code.
            let _ = writeln!(std::io::stderr(), "bench: {message}");
            ExitCode::from(2)
        }
    }
}

/// Waits for SIGINT or SIGTERM.
async fn stop_signal() {
    let terminate = signal(SignalKind::terminate()).map(|mut signal| async move { signal.recv().await });
    let Ok(terminate) = terminate else { return std::future::pending().await };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate => {}
    }
}

async fn run(cli: &Cli) -> Result<Table, String> {
    let seed = cli.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    let workload = if cli.short { Workload::SHORT } else { Workload::LONG };
    let program = find_runner(cli.runner.clone())?;
    let started = Instant::now();
    let mut machine = Machine::describe(&program, seed, cli.short)?;
    print_line(format!("{}\n", machine.text()));
    let world = World::create(program, seed)?;
    let mut table = measure(&world, workload, &cli.real_suite).await?;
    machine.finish(started.elapsed());
    table.machine = Some(machine);
    print_line(table.text());
    if let Some(file) = &cli.json {
        std::fs::write(file, table.json()?)
            .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    Ok(table)
}

/// Measures all figures. The first measurement starts on an empty state folder, the following ones reuse it.
async fn measure(world: &World, workload: Workload, real_suite: &RealSuite) -> Result<Table, String> {
    let mut table = Table::default();
    print_line("measuring: first task on an empty state folder");
    let first = first_task::measure(world).await?;
    let idle = IdleRunner::start(world).await?;
    print_line("measuring: latency of one worker, and the same tasks by hand");
    let [bare, confined] = latency::measure(world, workload, ["none", "auto"]).await?;
    table.rows.extend([bare.row(60.0), confined.row(90.0), confined.cost_row(&bare, 15.0)]);
    table.rows.extend(first.rows());
    print_line("measuring: throughput of 1, 2 and 8 workers");
    let mut throughputs = Vec::new();
    let variants = [(1, "none"), (2, "none"), (8, "none"), (8, "auto")];
    for (&seconds, (workers, sandbox)) in workload.throughput_seconds.iter().zip(variants) {
        let duration = Duration::from_secs(seconds);
        throughputs.push(throughput::measure(world, workers, sandbox, duration).await?);
    }
    table.rows.extend(throughput::rate_rows(&throughputs));
    table.rows.extend(throughput::memory_rows(&throughputs, &idle));
    table.rows.extend(real_suite::measure(world, real_suite, workload.rounds).await?);
    let awake = idle.submit_task(world);
    print_line("measuring: starts, a large report, system calls");
    let starts = start::measure(world, workload.starts).await?;
    let report = large_report::measure(world, workload.cases).await?;
    let syscalls = syscalls::measure(world, workload.traced_tasks).await?;
    table.rows.extend(awake.finish().await?.rows());
    table.rows.push(bare.gap_row());
    table.rows.extend(report.rows());
    table.rows.push(start::size_row(world)?);
    table.rows.extend(starts);
    table.rows.extend(throughput::leak_rows(&throughputs));
    table.rows.extend(syscalls);
    table.rows.extend(bare.by_hand_rows(world));
    table.breakdowns = vec![bare.breakdown, confined.breakdown];
    Ok(table)
}
