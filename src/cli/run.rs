//! `runner run`: runs the tests for a folder or a URL, without a backend, for a person at a terminal.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use crate::cli::Exit;
use crate::config::{Config, Settings};
use crate::daemon::{OWN_BINARY, worker};
use crate::executors::Bounds;
use crate::live::Live;
use crate::observe::Observe;
use crate::observe::screen::Screen;
use crate::pipeline::stop::Stop;
use crate::pipeline::worker::{Source, Worker};
use crate::task::{Task, TaskId};
use report::{Case, Outcome, Progress, Report, Verdict};
use sandbox::workspace;
use text::units::show;
use text::{clean, one_line};

/// Arguments of `runner run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder with the program to test, used as it is; or the URL of a repository
    #[arg(value_name = "SRC")]
    pub src: String,

    /// Number of a laboratory to test; several with commas or by repeating the option
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = laboratory)]
    pub lab: Vec<u32>,

    /// Names of the tests to run, separated by commas [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub tests: Vec<String>,

    /// Branch of the repository [default: its default branch]
    #[arg(long)]
    pub branch: Option<String>,

    /// Print the body that would be posted to a backend, instead of a table
    #[arg(long)]
    pub json: bool,
}

fn laboratory(text: &str) -> Result<u32, String> {
    text.trim().parse().map_err(|_| "expected the number of a laboratory, such as 1".to_owned())
}

/// Workspaces that are younger belong to a `runner run` that has not locked them yet.
const MIN_AGE_OF_LEFTOVERS: Duration = Duration::from_secs(60);

/// Runs the tests, prints the result on stdout and returns the exit code of the verdict.
///
/// # Errors
/// A setting is unusable, or no worker can be built with it.
pub async fn run(mut settings: Settings, args: Args, screen: &Screen) -> anyhow::Result<Exit> {
    // The person who names a folder or a URL may also read it.
    settings.checkout.allow_local_repositories = true;
    let config = Config::check(settings)?;
    // Removes what earlier runs left that were killed.
    workspace::sweep(&config.folders.work, MIN_AGE_OF_LEFTOVERS);
    let observe = Observe::default();
    let worker = worker(&config, OWN_BINARY, format!("run{:016x}", fastrand::u64(..)), &observe).await?;
    let stop = Stop::default();
    // At a terminal the first Ctrl-C interrupts, because there is nothing to drain.
    let interrupt = stop.drain.clone();
    let signals = stop.listen(screen)?;
    let mut out = io::stdout();
    tokio::select! {
        exit = run_once(&worker, args, (&observe, screen), interrupt, &mut out) => {
            out.flush().ok();
            worker.settle().await;
            Ok(exit.unwrap_or(Exit::Failure))
        }
        () = signals => Ok(Exit::Failure),
    }
}

/// Runs one task for `args` and prints its result to `out`.
async fn run_once(
    worker: &Worker,
    args: Args,
    (observe, screen): (&Observe, &Screen),
    interrupt: CancellationToken,
    out: &mut impl Write,
) -> io::Result<Exit> {
    let folder = PathBuf::from(&args.src);
    let source = if folder.is_dir() { Source::Folder(folder.clone()) } else { Source::Repository };
    if matches!(source, Source::Repository) && (folder.exists() || looks_like_a_path(&args.src)) {
        let problem = if folder.exists() { "is not a folder" } else { "does not exist" };
        writeln!(io::stderr(), "runner: run: {} {problem}", folder.display())?;
        return Ok(Exit::Unusable);
    }
    let id = TaskId::new(RawValue::from_string("null".to_owned()).map_err(io::Error::other)?);
    let task = Task {
        id,
        repository_url: args.src,
        branch: args.branch,
        laboratories: args.lab,
        tests: args.tests.into_iter().filter(|name| !name.is_empty()).collect(),
    };
    let started = Instant::now();
    let reached = Live::new(Progress::Claim);
    let progress = |now| reached.set(now);
    let bounds = Bounds { deadline: worker.deadline(started, interrupt), progress: &progress };
    let show_progress = || progress_line(reached.get(), observe);
    let work = Box::pin(worker.run(&task, &source, started, bounds));
    let (report, clearing) = screen.during(show_progress, work).await;
    if args.json {
        out.write_all(&worker.body(&task.id, &report))?;
        writeln!(out)?;
    } else {
        table(&report, started.elapsed(), out)?;
    }
    clearing.end().await;
    Ok(exit_of(&report))
}

fn looks_like_a_path(src: &str) -> bool {
    !src.contains(':') || Path::new(src).is_absolute()
}

/// The exit code for `report`: 2 if the program to test could not be read.
fn exit_of(report: &Report) -> Exit {
    let fault = report.fault.as_ref();
    let unreadable =
        fault.is_some_and(|fault| matches!(fault.progress, Progress::Claim | Progress::Checkout));
    match report.verdict() {
        Verdict::Success => Exit::Success,
        _ if unreadable => Exit::Unusable,
        _ => Exit::Failure,
    }
}

/// What the progress line of a terminal shows.
fn progress_line(progress: Progress, observe: &Observe) -> String {
    let words = match progress {
        Progress::Claim => "beginning",
        Progress::Checkout => "getting the program",
        Progress::Prepare => observe.health().suite.activity.unwrap_or("preparing the suite"),
        Progress::Execute => "running the tests",
        Progress::Report => "reading the report",
    };
    words.to_owned()
}

/// Prints a line for each case, the output of those that did not pass, and the verdict.
fn table(report: &Report, elapsed: Duration, out: &mut impl Write) -> io::Result<()> {
    let width = report.cases.iter().map(|case| case.name.chars().count()).max().unwrap_or(0).min(72);
    if !report.cases.is_empty() {
        writeln!(out, "{:<8}{:<width$}  {:>9}  {:>8}", "", "test", "time", "memory")?;
    }
    for case in &report.cases {
        row(case, width, out)?;
    }
    for case in report.cases.iter().filter(|case| case.outcome != Outcome::Passed) {
        writeln!(out, "\n--- {}", one_line(&case.name))?;
        for line in clean(&case.description).lines() {
            writeln!(out, "    {line}")?;
        }
    }
    let tally = &report.tally;
    writeln!(
        out,
        "\n{}: {} of {} tests passed, in {}",
        report.verdict(),
        tally.passed,
        tally.total(),
        show(elapsed)
    )?;
    for words in report.fault.iter().map(|fault| &fault.message).chain(&report.cut) {
        // These may quote the program under test, whose control sequences must not reach the terminal.
        writeln!(out, "{}", clean(words))?;
    }
    Ok(())
}

fn row(case: &Case, width: usize, out: &mut impl Write) -> io::Result<()> {
    let outcome = match case.outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "FAILED",
        Outcome::Errored => "ERROR",
        Outcome::Skipped => "skipped",
    };
    let memory =
        case.memory.map_or_else(|| "-".to_owned(), |bytes| format!("{} MB", bytes.div_ceil(1 << 20)));
    writeln!(out, "{outcome:<8}{:<width$}  {:>9}  {memory:>8}", one_line(&case.name), show(case.duration))
}
