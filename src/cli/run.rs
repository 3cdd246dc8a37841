//! `runner run`: the work of a task for a folder or a URL, without a backend, for a person at a terminal.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use crate::executors::Bounds;
use crate::live::Live;
use crate::observe::Observe;
use crate::observe::screen::Screen;
use crate::pipeline::worker::{Source, Worker};
use crate::task::{Task, TaskId};
use report::{Case, Outcome, Progress, Report, Verdict};
use text::units::show;
use text::{clean, one_line};

/// What `runner run` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder with the program to test, taken as it is; or the URL of a repository
    #[arg(value_name = "SRC")]
    pub src: String,

    /// Laboratory; several: with commas or again
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = laboratory)]
    pub lab: Vec<u32>,

    /// Names of the tests to run; without it all
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub tests: Vec<String>,

    /// Branch of the repository [default: its default branch]
    #[arg(long)]
    pub branch: Option<String>,

    /// Print the body that would be posted instead of a table
    #[arg(long)]
    pub json: bool,
}

fn laboratory(text: &str) -> Result<u32, String> {
    text.trim().parse().map_err(|_| "expected the number of a laboratory, such as 1".to_owned())
}

/// Does the work and prints what it came to; returns the exit code: 0 passed, 1 not, 2 nothing there to test.
pub async fn run(
    worker: &Worker,
    args: Args,
    (observe, screen): (&Observe, &Screen),
    interrupt: CancellationToken,
    out: &mut impl Write,
) -> io::Result<u8> {
    let folder = PathBuf::from(&args.src);
    let source = if folder.is_dir() { Source::Folder(folder.clone()) } else { Source::Repository };
    if matches!(source, Source::Repository) && (folder.exists() || looks_like_a_path(&args.src)) {
        let what = if folder.exists() { "is no folder" } else { "is not there" };
        writeln!(io::stderr(), "runner: run: {} {what}", folder.display())?;
        return Ok(2);
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
    let say = || doing(reached.get(), observe);
    let work = Box::pin(worker.run(&task, &source, started, bounds));
    let (report, clearing) = screen.during(say, work).await;
    if args.json {
        out.write_all(&worker.body(&task.id, &report))?;
        writeln!(out)?;
    } else {
        table(&report, started.elapsed(), out)?;
    }
    clearing.end().await;
    let unreadable = report
        .fault
        .as_ref()
        .is_some_and(|fault| matches!(fault.progress, Progress::Claim | Progress::Checkout));
    Ok(match report.verdict() {
        Verdict::Success => 0,
        _ if unreadable => 2,
        _ => 1,
    })
}

fn looks_like_a_path(src: &str) -> bool {
    !src.contains(':') || Path::new(src).is_absolute()
}

fn doing(progress: Progress, observe: &Observe) -> String {
    let words = match progress {
        Progress::Claim => "beginning",
        Progress::Checkout => "getting the program",
        Progress::Prepare => observe.health().suite.activity.unwrap_or("preparing the suite"),
        Progress::Execute => "running the tests",
        Progress::Report => "reading the report",
    };
    words.to_owned()
}

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
        // They quote what the program under test has written, and must not steer the terminal.
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
