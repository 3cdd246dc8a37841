//! `runner demo`: the whole way of a task on sample repositories. The backend is the mock backend over real HTTP;
//! everything else is what production runs.

mod samples;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use mock_backend::{Event, MockBackend, NewTask, StoredResult, TaskId};
use serde_json::json;
use tempfile::TempDir;

use crate::cli::DemoArgs;
use crate::config::{Config, Settings};
use crate::daemon::{Daemon, OWN_BINARY};
use crate::executors::Preset;
use crate::git::url::RepositoryUrl;
use crate::observe::screen::Screen;
use crate::observe::{Delivery, Observe};
use crate::pipeline::stop::Stop;
use samples::Student;
use sandbox::command::find_program;
use text::units::show;

/// How long a task may take here: the endless program is shown to the deadline.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long all of them may take together.
const PATIENCE: Duration = Duration::from_secs(180);

/// Runs the demo; exits with 0 where every verdict is what it should be.
pub async fn run(
    settings: Settings,
    args: DemoArgs,
    screen: &Screen,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    if let Some(folder) = args.samples {
        write_samples(&folder, out).with_context(|| format!("--samples {}", folder.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(missing) = missing() {
        bail!(missing);
    }
    let stop = Stop::default();
    let signals = stop.listen(screen)?;
    tokio::select! {
        told = tell(settings, &stop, screen, out) => told,
        () = signals => Ok(ExitCode::FAILURE),
    }
}

/// Writes the sample repositories for a backend and a runner elsewhere. Those that are there stay as they are, so that
/// this can be done at each start of both.
fn write_samples(folder: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    let folder = folder.canonicalize()?;
    let tasks = folder.join("tasks.json");
    if !tasks.exists() {
        // Aside first: what is killed in the middle leaves nothing that looks whole.
        let aside = TempDir::with_prefix_in(".samples-", &folder)?;
        samples::suite(aside.path())?;
        let mut lines = Vec::new();
        for student in samples::STUDENTS {
            samples::repository(aside.path(), student)?;
            let url = format!("file://{}/students/{}", folder.display(), student.name);
            let task = json!({"repositoryUrl": url, "branch": "main", "laboratoryNumber": 1});
            writeln!(lines, "{task}")?;
        }
        std::fs::write(aside.path().join("tasks.json"), lines)?;
        for name in ["suite", "students"] {
            // What is there may be a person's own, so it is not removed here.
            std::fs::rename(aside.path().join(name), folder.join(name)).with_context(|| {
                let folder = folder.display();
                format!(
                    "demo: {folder} has a {name}, but no tasks.json; remove the former or name another folder"
                )
            })?;
        }
        // The last: where this is there, all is.
        std::fs::rename(aside.path().join("tasks.json"), &tasks)?;
    }
    writeln!(out, "suite          file://{}/suite", folder.display())?;
    writeln!(
        out,
        "tasks          {}, one for each of {} students",
        tasks.display(),
        samples::STUDENTS.len()
    )?;
    Ok(())
}

/// What the demo needs and this machine has not, with the command that installs it.
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

async fn tell(
    settings: Settings,
    stop: &Stop,
    screen: &Screen,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let home = TempDir::with_prefix("runner-demo-").context("demo: a temporary folder")?;
    // A task may have a user of its own, who passes through it.
    std::fs::set_permissions(home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711))?;
    let suite = samples::suite(home.path()).context("demo: the sample suite")?;
    let backend = mock_backend::Settings { auth: true, ..mock_backend::Settings::default() };
    let backend = MockBackend::start(backend).await.context("demo: the mock backend")?;
    writeln!(out, "mock backend   {}, with authentication", backend.url())?;

    let config = Config::check(adapt(settings, &home, &backend.url(), &suite)?)?;
    let mut daemon = Daemon::new(&config, OWN_BINARY).await?;
    writeln!(out, "suite          making its mirror and its environment, once, before the first claim …")?;
    let started = Instant::now();
    let observe = daemon.observe().clone();
    let say = || observe.health().suite.activity.unwrap_or("making the suite ready").to_owned();
    screen.during(say, Box::pin(daemon.warm_up(stop))).await.context("demo: the suite is not ready")?;
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
        let all = backend.wait_for_results(tasks.len(), PATIENCE).await;
        stop.drain.cancel();
        all
    };
    let run = Box::pin(async { tokio::join!(daemon.run(stop), finish) });
    let ((), results) = tokio::select! {
        both = screen.during(|| doing(&observe, &tasks), run) => both,
        broken = narrate => {
            broken?;
            bail!("demo: the backend has ended");
        }
    };
    let results = results.context("demo: not every task was answered")?;
    let right = verdicts(&backend, &tasks, &results, out)?;
    Ok(if right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The settings of the command line, made to fit the demo's world.
fn adapt(mut settings: Settings, home: &TempDir, backend: &str, suite: &str) -> anyhow::Result<Settings> {
    settings.backend.backend_url = backend.parse()?;
    settings.backend.auth = true;
    settings.poll.check_interval = Duration::from_millis(200);
    settings.worker.timeout = TIMEOUT;
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

/// Hands one task for each sample student to the backend.
fn submit(backend: &MockBackend, home: &TempDir) -> io::Result<Vec<(TaskId, &'static Student)>> {
    samples::STUDENTS
        .iter()
        .map(|student| {
            let url = samples::repository(home.path(), student)?;
            Ok((backend.submit(NewTask::new(&url, "main").lab(1)), student))
        })
        .collect()
}

/// How far all of it is.
fn doing(observe: &Observe, tasks: &[(TaskId, &Student)]) -> String {
    let answered = observe.finished().iter().filter(|task| task.delivery != Delivery::Waits).count();
    let working = observe.running();
    let working: Vec<_> = working.iter().map(|task| format!("{}: {}", task.id, task.progress)).collect();
    let line = format!("{answered} of {} tasks answered; {}", tasks.len(), working.join(", "));
    narrated(line.trim_end_matches([';', ' ']), tasks)
}

/// A line with the students' names in place of the ids.
fn narrated(event: &str, tasks: &[(TaskId, &Student)]) -> String {
    let named = tasks
        .iter()
        .fold(event.to_owned(), |line, (id, student)| line.replace(&id.to_string(), student.name));
    named.chars().take(110).collect()
}

/// The table at the end; whether every verdict is what it should be.
fn verdicts(
    backend: &MockBackend,
    tasks: &[(TaskId, &Student)],
    results: &[StoredResult],
    out: &mut impl Write,
) -> io::Result<bool> {
    writeln!(
        out,
        "\n{:<16} {:<10} {:<10} {:<9} what the student reads",
        "repository", "expected", "verdict", "passed"
    )?;
    let mut right = true;
    for (id, student) in tasks {
        let Some(stored) = results.iter().find(|stored| stored.id == *id) else { continue };
        let result = &stored.result;
        let verdict = backend.status_of(id).map(|status| status.to_string()).unwrap_or_default();
        let cases = &result.test_results;
        let first = cases.iter().find(|case| !case.is_passed).map(|case| case.description.as_str());
        let words = Some(result.error_details.as_str())
            .filter(|words| !words.is_empty())
            .or(first)
            .unwrap_or_default();
        let words: String = words.lines().next().unwrap_or_default().chars().take(70).collect();
        let passed = format!("{} of {}", cases.iter().filter(|case| case.is_passed).count(), cases.len());
        writeln!(out, "{:<16} {:<10} {verdict:<10} {passed:<9} {words}", student.name, student.expected)?;
        right &= verdict == student.expected;
    }
    writeln!(
        out,
        "\n{}",
        if right { "Every verdict is what it should be." } else { "A verdict is not what it should be." }
    )?;
    Ok(right)
}
