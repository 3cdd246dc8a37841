//! The soak test: two real runners, a faulty backend, students of every kind, and a `kill -9` every few seconds. At the end
//! every task must have the expected result, and no process, file or descriptor may be left.
//!
//! Once a result is on the runner's disk, its bytes never change. So all results that the backend accepts for one task must
//! be byte-identical, and a result that was on disk at a kill must be delivered with exactly these bytes. A task may run
//! again only if a kill interrupted it before it had a result; the interrupted run posted no result, so the second run
//! causes no difference.
//!
//! Prints its seed. The same seed draws the same students, faults and kills in the same order; their times depend on the
//! machine. Exit codes: 0 passed, 1 failed, 2 cannot run.

mod backend_faults;
mod findings;
mod kills;
mod run;
mod runner;
mod spool;
mod students;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tools::print_line;

/// Runs tasks on two runners with a faulty backend and a kill every few seconds, and checks every result
#[derive(Debug, Parser)]
#[command(name = "soak", version, max_term_width = 100)]
struct Cli {
    /// Number of tasks
    #[arg(long, default_value_t = 2000)]
    tasks: u64,
    /// Seed of the random numbers [default: random; it is printed]
    #[arg(long)]
    seed: Option<u64>,
    /// The runner's binary [default: the one beside this program; `cargo run` builds it first]
    #[arg(long, value_name = "PATH")]
    runner: Option<PathBuf>,
    /// Time limit in minutes
    #[arg(long, default_value_t = 30)]
    minutes: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let seed = cli.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    print_line(format!("soak: {} tasks, seed {seed}", cli.tasks));
    let options = run::Options { tasks: cli.tasks, seed, runner: cli.runner, minutes: cli.minutes };
    match run::run(options).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            // A closed stderr must not change the exit code.
            let _ = writeln!(std::io::stderr(), "soak: {message}");
            ExitCode::from(2)
        }
    }
}
