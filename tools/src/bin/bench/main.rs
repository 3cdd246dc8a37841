//! The bench: the real runner against the mock backend, figure by figure beside its bar. `benches/README.md` says what
//! each row means and how it is measured.
//!
//! A row fails the short form, which CI runs, only where the machine has no say in it: requests an interval, growth of
//! descriptors, files left, processes and fsyncs a task. Exit codes: 0 all is well, 1 such a row is over, 2 something
//! is missing.

#[path = "../../common/mod.rs"]
mod common;
mod counts;
mod daemon;
mod first;
mod gauge;
mod hand;
mod idle;
mod latency;
mod machine;
mod rate;
mod real;
mod report_file;
mod rows;
mod stages;
mod start;
mod stats;
mod world;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::common::programs::find_runner;
use crate::common::say;
use crate::idle::Idle;
use crate::machine::Machine;
use crate::real::Real;
use crate::rows::Table;
use crate::world::World;

/// The runner's speed and weight, figure by figure beside its bar
#[derive(Debug, Parser)]
#[command(name = "bench", version, max_term_width = 100)]
struct Cli {
    /// Half a minute instead of three; fails only on what does not depend on the machine
    #[arg(long)]
    short: bool,
    /// Also write the table to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The seed of all that is random [default: by chance, and printed]
    #[arg(long)]
    seed: Option<u64>,
    /// The runner's binary [default: the one beside this program; `cargo run` builds it first]
    #[arg(long, value_name = "PATH")]
    runner: Option<PathBuf>,
    #[command(flatten)]
    real: Real,
}

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Form {
    /// Rounds of tasks and of the same by hand, one after the other.
    rounds: usize,
    /// Tasks in each.
    in_a_round: usize,
    /// Seconds for which tasks are thrown at 1, 2 and 8 workers, and at 8 in the sandbox.
    rates: [u64; 4],
    /// Starts of a runner.
    starts: usize,
    /// Cases of the large report.
    cases: usize,
    /// Tasks whose system calls are counted.
    counted: usize,
}

const LONG: Form =
    Form { rounds: 8, in_a_round: 8, rates: [12, 12, 45, 12], starts: 15, cases: 500_000, counted: 10 };

const SHORT: Form =
    Form { rounds: 3, in_a_round: 4, rates: [1, 1, 3, 1], starts: 3, cases: 50_000, counted: 4 };

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    // Its runners end with it: what is dropped is killed.
    let ended = tokio::select! {
        ended = run(&cli) => ended,
        () = told_to_stop() => Err("stopped by a signal".to_owned()),
    };
    match ended {
        Ok(table) if table.over_by_design() => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        Err(why) => {
            // A closed stderr is no reason to fail differently.
            let _ = writeln!(std::io::stderr(), "bench: {why}");
            ExitCode::from(2)
        }
    }
}

async fn told_to_stop() {
    let terminated = signal(SignalKind::terminate()).map(|mut signal| async move { signal.recv().await });
    let Ok(terminated) = terminated else { return std::future::pending().await };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated => {}
    }
}

async fn run(cli: &Cli) -> Result<Table, String> {
    let seed = cli.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    let form = if cli.short { SHORT } else { LONG };
    let program = find_runner(cli.runner.clone())?;
    let started = Instant::now();
    let mut machine = Machine::look(&program, seed, cli.short)?;
    say(format!("{}\n", machine.text()));
    let world = World::make(program, seed)?;
    let mut table = measure(&world, form, &cli.real).await?;
    machine.end(started.elapsed());
    table.machine = Some(machine);
    say(table.text());
    if let Some(file) = &cli.json {
        std::fs::write(file, table.json()?)
            .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    Ok(table)
}

/// Every figure, in an order in which one leaves a warm state folder for the next.
async fn measure(world: &World, form: Form, real: &Real) -> Result<Table, String> {
    let mut table = Table::default();
    say("first task, on an empty state folder");
    let first = first::measure(world).await?;
    let idle = Idle::begin(world).await?;
    say("one task after the other, and the same by hand");
    let [bare, confined] = latency::measure(world, form, ["none", "auto"]).await?;
    table.rows.extend([bare.row(60.0), confined.row(90.0), confined.cost_row(&bare, 15.0)]);
    table.rows.extend(first.rows());
    say("as many tasks as 1, 2 and 8 workers take");
    let mut rates = Vec::new();
    for (&time, (workers, sandbox)) in
        form.rates.iter().zip([(1, "none"), (2, "none"), (8, "none"), (8, "auto")])
    {
        rates.push(rate::measure(world, workers, sandbox, Duration::from_secs(time)).await?);
    }
    table.rows.extend(rate::speeds(&rates));
    table.rows.extend(rate::weights(&rates, &idle));
    table.rows.extend(real::measure(world, real, form.rounds).await?);
    let idle = idle.wake(world);
    say("starts, a large report, system calls");
    let starts = start::measure(world, form.starts).await?;
    let report = report_file::measure(world, form.cases).await?;
    let counts = counts::measure(world, form.counted).await?;
    let idle = idle.end().await?;
    table.rows.extend(idle.rows());
    table.rows.push(bare.gap_row());
    table.rows.extend(report.rows());
    table.rows.push(start::size_row(world)?);
    table.rows.extend(starts);
    table.rows.extend(rate::leftovers(&rates));
    table.rows.extend(counts);
    table.rows.extend(bare.hand_rows(world));
    table.stages = vec![bare.stages, confined.stages];
    Ok(table)
}
