//! Runs the demo.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use mock_backend::{Event, MockBackend, NewTask, TaskId};
use tempfile::TempDir;

use super::samples::{self, Student};
use super::verdicts;
use crate::cli::Exit;
use crate::config::{Config, Settings};
use crate::daemon::{Daemon, OWN_BINARY};
use crate::executors::Preset;
use crate::git::url::RepositoryUrl;
use crate::observe::screen::Screen;
use crate::observe::{Delivery, Observe};
use crate::pipeline::stop::Stop;
use sandbox::command::find_program;
use text::units::show;

/// Arguments of `runner demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only write the sample repositories to this folder, with a tasks.json for the mock backend
    #[arg(long, value_name = "FOLDER")]
    pub samples: Option<PathBuf>,
}

/// Time limit of a task. One sample program never ends and runs into it.
const TASK_TIMEOUT: Duration = Duration::from_secs(10);

/// Time limit of all tasks together.
const DEMO_TIMEOUT: Duration = Duration::from_secs(180);

/// Runs the demo, or writes the samples. Fails if a verdict is not the expected one.
///
/// # Errors
/// A program is missing, a folder is unusable, the suite cannot be prepared, or a task is not answered in time.
pub async fn run(
    settings: Settings,
    args: Args,
    screen: &Screen,
    out: &mut impl Write,
) -> anyhow::Result<Exit> {
    if let Some(folder) = args.samples {
        samples::write_all(&folder, out).with_context(|| format!("--samples {}", folder.display()))?;
        return Ok(Exit::Success);
    }
    if let Some(missing) = missing() {
        bail!(missing);
    }
    let stop = Stop::default();
    let signals = stop.listen(screen)?;
    tokio::select! {
        exit = play(settings, &stop, screen, out) => exit,
        () = signals => Ok(Exit::Failure),
    }
}

/// An error line about the programs that the demo needs and this machine lacks, with the command that installs them.
fn missing() -> Option<String> {
    let needed = [("python3", "python3 python3-venv"), ("make", "make"), ("cc", "gcc libc6-dev")];
    let (programs, packages): (Vec<_>, Vec<_>) =
        needed.into_iter().filter(|(program, _)| find_program(program).is_none()).unzip();
    (!programs.is_empty()).then(|| {
        format!(
            "demo: {} not found; install with: apt-get install {}",
            programs.join(", "),
            packages.join(" ")
        )
    })
}

/// Starts the backend and the daemon, submits the tasks and prints what happens.
async fn play(
    settings: Settings,
    stop: &Stop,
    screen: &Screen,
    out: &mut impl Write,
) -> anyhow::Result<Exit> {
    let home = TempDir::with_prefix("runner-demo-").context("demo: a temporary folder")?;
    // The user of a task may pass through it.
    std::fs::set_permissions(home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711))?;
    let suite = samples::suite(home.path()).context("demo: the sample suite")?;
    let backend = mock_backend::Settings { auth: true, ..mock_backend::Settings::default() };
    let backend = MockBackend::start(backend).await.context("demo: the mock backend")?;
    writeln!(out, "mock backend   {}, with authentication", backend.url())?;

    let config = Config::check(demo_settings(settings, &home, &backend.url(), &suite)?)?;
    let mut daemon = Daemon::new(&config, OWN_BINARY).await?;
    writeln!(out, "suite          making its mirror and its environment, once, before the first claim …")?;
    let started = Instant::now();
    let observe = daemon.observe().clone();
    let show_step = || observe.health().suite.activity.unwrap_or("preparing the suite").to_owned();
    screen.during(show_step, Box::pin(daemon.warm_up(stop))).await.context("demo: the suite is not ready")?;
    writeln!(out, "suite          ready after {}", show(started.elapsed()))?;

    let tasks = submit(&backend, &home).context("demo: a sample repository")?;
    let mut events = backend.events();
    let narrate = async {
        while let Ok(event) = events.recv().await {
            if matches!(event, Event::Claimed { .. } | Event::Answered { .. }) {
                writeln!(out, "{}", narrated(&event.to_string(), &tasks))?;
            }
        }
        io::Result::Ok(())
    };
    let finish = async {
        let all = backend.wait_for_results(tasks.len(), DEMO_TIMEOUT).await;
        stop.drain.cancel();
        all
    };
    let run = Box::pin(async { tokio::join!(daemon.run(stop), finish) });
    let ((), results) = tokio::select! {
        both = screen.during(|| progress_line(&observe, &tasks), run) => both,
        ended = narrate => {
            ended?;
            bail!("demo: the backend has ended");
        }
    };
    let results = results.context("demo: not every task was answered")?;
    Ok(Exit::of(verdicts::print(&backend, &tasks, &results, out)?))
}

/// The settings of the command line, with those replaced that the demo needs.
fn demo_settings(
    mut settings: Settings,
    home: &TempDir,
    backend: &str,
    suite: &str,
) -> anyhow::Result<Settings> {
    settings.backend.backend_url = backend.parse()?;
    settings.backend.auth = true;
    settings.poll.check_interval = Duration::from_millis(200);
    settings.worker.timeout = TASK_TIMEOUT;
    settings.process.grace = Duration::from_secs(2);
    settings.checkout.allow_local_repositories = true;
    settings.suite.tests_url = RepositoryUrl::parse(suite, true).map_err(anyhow::Error::msg)?;
    settings.suite.tests_ref = None;
    settings.suite.test_command = None;
    settings.suite.suite_preset = Preset::Auto;
    settings.execute.mock = false;
    settings.folders.state_dir = Some(home.path().join("state"));
    settings.folders.work_dir = None;
    Ok(settings)
}

/// Submits one task for each sample student to the backend.
fn submit(backend: &MockBackend, home: &TempDir) -> io::Result<Vec<(TaskId, &'static Student)>> {
    samples::STUDENTS
        .iter()
        .map(|student| {
            let url = samples::repository(home.path(), student)?;
            Ok((backend.submit(NewTask::new(&url, "main").lab(1)), student))
        })
        .collect()
}

/// What the progress line of a terminal shows.
fn progress_line(observe: &Observe, tasks: &[(TaskId, &Student)]) -> String {
    let answered = observe.finished().iter().filter(|task| task.delivery != Delivery::Waits).count();
    let working = observe.running();
    let working: Vec<_> = working.iter().map(|task| format!("{}: {}", task.id, task.progress)).collect();
    let line = format!("{answered} of {} tasks answered; {}", tasks.len(), working.join(", "));
    narrated(line.trim_end_matches([';', ' ']), tasks)
}

/// `event` with the students' names instead of the ids of their tasks.
fn narrated(event: &str, tasks: &[(TaskId, &Student)]) -> String {
    let named = tasks
        .iter()
        .fold(event.to_owned(), |line, (id, student)| line.replace(&id.to_string(), student.name));
    named.chars().take(110).collect()
}
