//! The suite that all tasks share: its tree at the current commit, its environment and its command line. The mirror is
//! refreshed when it is older than `--suite-max-age`; while the remote is down, the last commit serves.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use super::confined::{confine, environment};
use super::environment::Environments;
use super::stale;
use super::template::{Preset, Template};
use crate::git::GitClient;
use crate::git::url::RepositoryUrl;
use crate::observe::Observe;
use report::{Cause, Fault, Limits, Progress};
use sandbox::command::{Deadline, Launcher, Spec};
use sandbox::workspace::Workspace;
use text::hex;
use text::units::{duration, show};

/// Which suite is run, and with which command line.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Suite")]
#[group(skip)]
pub struct Settings {
    /// Repository of the test suite: a URL, or a path on this machine
    #[arg(long, global = true, env = "RUNNER_TESTS_URL", value_name = "URL", default_value = "https://github.com/os-nsu/tests.git", value_parser = suite_url)]
    pub tests_url: RepositoryUrl,

    /// Branch, tag or commit of the suite [default: its default branch]
    #[arg(long, global = true, env = "RUNNER_TESTS_REF", value_name = "REF")]
    pub tests_ref: Option<String>,

    /// Command line that the suite takes
    #[arg(long, global = true, env = "RUNNER_SUITE_PRESET", value_enum, default_value_t = Preset::Auto)]
    pub suite_preset: Preset,

    /// Your own command line, run in the suite's folder, with the placeholders {python} {suite} {src} {report} {tests} {labs} {lab} {lab_names} {proxy_timeout}; an absent value is left out with its option
    #[arg(long, global = true, env = "RUNNER_TEST_COMMAND", value_name = "COMMAND")]
    pub test_command: Option<Template>,

    /// How old the suite's mirror may be before its remote is checked again; 0: check for each task
    #[arg(long, global = true, env = "RUNNER_SUITE_MAX_AGE", value_name = "DURATION", default_value = "5", value_parser = duration)]
    pub suite_max_age: Duration,

    /// Time that the suite gives one test's proxy, passed in whole seconds; 0: not passed
    #[arg(long, global = true, env = "RUNNER_PROXY_TIMEOUT", value_name = "DURATION", default_value = "10", value_parser = duration)]
    pub proxy_timeout: Duration,
}

fn suite_url(text: &str) -> Result<RepositoryUrl, String> {
    // A setting of the operator: local repositories are allowed, also by a relative path.
    let absolute = Path::new(text).canonicalize().ok().filter(|path| path.is_dir());
    let path = absolute.as_deref().and_then(Path::to_str);
    RepositoryUrl::read(path.unwrap_or(text), true)
}

/// Time limit for creating an environment: many packages on a slow network.
const ENVIRONMENT_LIMIT: Duration = Duration::from_secs(15 * 60);

/// Time limit for `run_tests.py --help`.
const HELP_LIMIT: Duration = Duration::from_secs(30);

/// A suite that is ready to run.
#[derive(Debug)]
pub(super) struct Suite {
    /// Its tree, shared by all tasks and never written to.
    pub(super) tree: PathBuf,
    /// The interpreter of its environment.
    pub(super) python: PathBuf,
    /// Its command line.
    pub(super) template: Template,
    /// The name of the file in its tree that configures pytest.
    pub(super) configuration: Option<&'static str>,
    commit: String,
}

impl Suite {
    /// Notes the use of the suite, and returns whether all its folders exist. A person, or another runner on the same state
    /// folder, can have removed one.
    fn exists(&self) -> bool {
        let parts = self.parts();
        parts.iter().copied().for_each(stale::note_use);
        parts.iter().all(|part| part.is_dir()) && self.python.exists()
    }

    /// The folders of the suite: its tree and its environment.
    fn parts(&self) -> Vec<&Path> {
        let environment = self.python.parent().and_then(Path::parent);
        std::iter::once(self.tree.as_path()).chain(environment).collect()
    }
}

/// The name of the file that configures pytest for the suite in `tree`, searched in pytest's order.
fn configuration(tree: &Path) -> Option<&'static str> {
    let files = [
        ("pytest.toml", "[pytest]"),
        (".pytest.toml", "[pytest]"),
        ("pytest.ini", ""),
        (".pytest.ini", ""),
        ("pyproject.toml", "[tool.pytest"),
        ("tox.ini", "[pytest]"),
        ("setup.cfg", "[tool:pytest]"),
    ];
    let holds = |(name, section): &(&str, &str)| {
        fs::read_to_string(tree.join(name)).is_ok_and(|text| text.contains(section))
    };
    files.into_iter().find(holds).map(|(name, _)| name)
}

/// Keeps the suite up to date, and hands it to tasks.
#[derive(Debug)]
pub(super) struct SuiteKeeper {
    settings: Settings,
    checkout: GitClient,
    launcher: Launcher,
    observe: Observe,
    environments: Environments,
    home: PathBuf,
    work: PathBuf,
    /// The suite, and when it was last refreshed. Locked while it is refreshed.
    known: Mutex<Option<(Arc<Suite>, Instant)>>,
}

impl SuiteKeeper {
    /// Keeps the suite of `settings` below `state`. `work` holds the folders of commands that examine the suite.
    pub(super) fn new(
        settings: Settings,
        checkout: GitClient,
        launcher: Launcher,
        state: &Path,
        work: PathBuf,
        observe: &Observe,
    ) -> Self {
        // One folder for each URL, so that two suites do not share a mirror.
        let digest = Sha256::digest(settings.tests_url.expose());
        let name = hex(&digest[..8]);
        Self {
            environments: Environments::new(state.join("environments"), launcher.clone(), observe.clone()),
            observe: observe.clone(),
            home: state.join("suite").join(name),
            work,
            known: Mutex::new(None),
            settings,
            checkout,
            launcher,
        }
    }

    /// The value of `--proxy_timeout`, in seconds, rounded up.
    pub(super) fn proxy_timeout(&self) -> u64 {
        self.settings.proxy_timeout.as_secs() + u64::from(self.settings.proxy_timeout.subsec_nanos() > 0)
    }

    /// Returns the suite of the last refresh, however old it is; `None` if there is none or it is being refreshed.
    pub(super) fn last(&self) -> Option<Arc<Suite>> {
        let known = self.known.try_lock().ok()?;
        known.as_ref().map(|(suite, _)| suite.clone()).filter(|suite| suite.exists())
    }

    /// Returns the suite; refreshes it first if it is too old. Waits for a refresh that is under way.
    ///
    /// # Errors
    /// A fault of the suite or, if there is no earlier suite that can serve, of the infrastructure.
    pub(super) async fn current(&self) -> Result<Arc<Suite>, Fault> {
        let mut known = self.known.lock().await;
        let last = match &*known {
            Some((suite, at)) if at.elapsed() < self.settings.suite_max_age && suite.exists() => {
                return Ok(suite.clone());
            }
            Some((suite, _)) => Some(suite.clone()),
            None => None,
        };
        let suite = self.refresh(last).await?;
        *known = Some((suite.clone(), Instant::now()));
        Ok(suite)
    }

    /// Fetches the suite. After a fault of the infrastructure `last` serves.
    async fn refresh(&self, last: Option<Arc<Suite>>) -> Result<Arc<Suite>, Fault> {
        let fetched = self.fetch(last.as_ref()).await;
        self.observe.suite_activity(None);
        match (fetched, last) {
            (Err(fault), Some(last)) if fault.cause == Cause::Infrastructure => {
                tracing::warn!(name: "suite_refresh_failed", %fault, commit = last.commit, "cannot refresh the suite; the last commit serves");
                Ok(last)
            }
            (fetched, _) => fetched,
        }
    }

    /// Fetches the suite and prepares it, unless `last` is the same commit.
    async fn fetch(&self, last: Option<&Arc<Suite>>) -> Result<Arc<Suite>, Fault> {
        let started = Instant::now();
        self.observe.suite_activity(Some("fetching the suite"));
        let reference = self.settings.tests_ref.as_deref();
        let (commit, tree) = self.checkout.suite(&self.settings.tests_url, reference, &self.home).await?;
        if let Some(last) = last.filter(|last| last.commit == commit && last.exists()) {
            return Ok(last.clone());
        }
        // Boxed because the future is large and rarely needed.
        let deadline = Deadline::within(ENVIRONMENT_LIMIT);
        let python = Box::pin(self.environments.interpreter(&tree, &deadline)).await?;
        let template = match &self.settings.test_command {
            Some(template) => template.clone(),
            None => self.template(&tree, &python, &commit).await?,
        };
        tracing::info!(name: "suite_ready", %commit, elapsed = ?started.elapsed(), "the suite is ready");
        let configuration = configuration(&tree);
        let suite = Arc::new(Suite { tree, python, template, configuration, commit });
        let used = suite.clone();
        tokio::task::spawn_blocking(move || {
            for part in used.parts() {
                stale::note_use(part);
                part.parent().into_iter().for_each(|folder| stale::remove_old(folder, part));
            }
        });
        Ok(suite)
    }

    /// The command line of the suite by the preset in the settings.
    async fn template(&self, tree: &Path, python: &Path, commit: &str) -> Result<Template, Fault> {
        if !tree.join("run_tests.py").is_file() {
            let message = "the suite has no run_tests.py; set its command line with --test-command";
            return Err(Fault::new(Progress::Prepare, Cause::Suite, message));
        }
        let help = self.help(tree, python, commit).await?;
        tracing::debug!(name: "suite_preset", preset = ?self.settings.suite_preset, "the suite's command line");
        Ok(Template::of_preset(self.settings.suite_preset, &help))
    }

    /// The output of `run_tests.py --help`, which runs once for each commit. If it exits with an error, its output still
    /// counts. If it is killed or takes too long, that is a fault.
    async fn help(&self, tree: &Path, python: &Path, commit: &str) -> Result<String, Fault> {
        let file = self.home.join(format!("help-{commit}"));
        if let Ok(help) = fs::read_to_string(&file) {
            return Ok(help);
        }
        let fail = |what: String| Fault::new(Progress::Prepare, Cause::Infrastructure, what);
        let io = |error: std::io::Error| fail(format!("cannot examine the suite's command line: {error}"));
        self.observe.suite_activity(Some("examining the suite's command line"));
        // In a copy, because a run_tests.py without --help can start the tests and write files.
        let folder = Workspace::new(&self.work).map_err(io)?;
        fs::create_dir(folder.source()).map_err(io)?;
        let confined =
            confine(&self.launcher, &folder, tree, python, &Limits::default()).await.map_err(io)?;
        let spec = Spec {
            program: python.display().to_string(),
            args: vec!["run_tests.py".to_owned(), "--help".to_owned()],
            env: environment(&folder, python),
            dir: folder.suite(),
            plan: confined.plan.clone(),
            ..Spec::default()
        };
        let exit = self
            .launcher
            .run(spec, &Deadline::within(HELP_LIMIT))
            .await
            .map_err(|error| fail(error.to_string()))?;
        // This can happen on a machine under load. A guess could choose the wrong command line, and then the result of every
        // task would be wrong.
        if exit.stopped.is_some() || exit.code.is_none() {
            let how = if exit.stopped.is_some() {
                format!("did not end within {}", show(HELP_LIMIT))
            } else {
                format!("ended with {}", exit.describe())
            };
            return Err(fail(format!(
                "run_tests.py --help {how}, so the command line of the suite is unknown; the runner tries again (or set it with --test-command)"
            )));
        }
        let help = exit.stdout.text();
        if exit.success() {
            fs::write(&file, &help).map_err(io)?;
        } else {
            tracing::warn!(name: "suite_help_failed", exit = exit.describe(), words = exit.last_words(), "run_tests.py --help failed");
        }
        Ok(help)
    }
}
