//! The suite that all tasks share: a local mirror, its tree at the commit in force, the environment and the
//! command line for it. Looked at again when it is older than `--suite-max-age`; a remote that is down means
//! what is there.

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

/// Which suite, and how it is called.
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
    // The operator's own setting: local repositories are welcome, also by a relative path.
    let absolute = Path::new(text).canonicalize().ok().filter(|path| path.is_dir());
    let path = absolute.as_deref().and_then(Path::to_str);
    RepositoryUrl::read(path.unwrap_or(text), true)
}

/// How long an environment may take to be made: many packages on a slow network.
const ENVIRONMENT: Duration = Duration::from_secs(15 * 60);

/// How long `run_tests.py --help` may take.
const LOOK: Duration = Duration::from_secs(30);

/// A suite that is ready to run.
#[derive(Debug)]
pub(super) struct Suite {
    /// Its tree, shared and never written to.
    pub(super) tree: PathBuf,
    /// The interpreter of its environment.
    pub(super) python: PathBuf,
    /// Its command line.
    pub(super) template: Template,
    /// The file in its tree with its configuration of pytest.
    pub(super) configuration: Option<&'static str>,
    commit: String,
}

impl Suite {
    /// Whether all of it is there: a person, or another runner on the same state folder, may have removed some. That it
    /// is used is noted.
    fn is_there(&self) -> bool {
        let parts = self.parts();
        parts.iter().copied().for_each(stale::note_use);
        parts.iter().all(|part| part.is_dir()) && self.python.exists()
    }

    /// The folders that it consists of: its tree and its environment.
    fn parts(&self) -> Vec<&Path> {
        let environment = self.python.parent().and_then(Path::parent);
        std::iter::once(self.tree.as_path()).chain(environment).collect()
    }
}

/// The file with the suite's configuration of pytest, by pytest's own order.
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

/// Keeps the suite.
#[derive(Debug)]
pub(super) struct SuiteKeeper {
    settings: Settings,
    checkout: GitClient,
    launcher: Launcher,
    observe: Observe,
    environments: Environments,
    home: PathBuf,
    work: PathBuf,
    known: Mutex<Option<(Arc<Suite>, Instant)>>,
}

impl SuiteKeeper {
    /// Keeps the suite of `settings` below `state`; what is tried is tried below `work`.
    pub(super) fn new(
        settings: Settings,
        checkout: GitClient,
        launcher: Launcher,
        state: &Path,
        work: PathBuf,
        observe: &Observe,
    ) -> Self {
        // One folder for each URL: another suite must not meet the mirror of the last one.
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

    /// Seconds for `--proxy_timeout`.
    pub(super) fn proxy_timeout(&self) -> u64 {
        self.settings.proxy_timeout.as_secs() + u64::from(self.settings.proxy_timeout.subsec_nanos() > 0)
    }

    /// The suite that was in force at the last look, however long ago; none where nobody knows, or where one is at it.
    pub(super) fn last(&self) -> Option<Arc<Suite>> {
        let known = self.known.try_lock().ok()?;
        known.as_ref().map(|(suite, _)| suite.clone()).filter(|suite| suite.is_there())
    }

    /// The suite in force. Whoever comes while it is being refreshed waits for that refresh.
    pub(super) async fn current(&self) -> Result<Arc<Suite>, Fault> {
        let mut known = self.known.lock().await;
        let last = match &*known {
            Some((suite, at)) if at.elapsed() < self.settings.suite_max_age && suite.is_there() => {
                return Ok(suite.clone());
            }
            Some((suite, _)) => Some(suite.clone()),
            None => None,
        };
        let suite = self.refresh(last).await?;
        *known = Some((suite.clone(), Instant::now()));
        Ok(suite)
    }

    /// Looks for something newer than `last`. What only fails for now leaves the last one in force.
    async fn refresh(&self, last: Option<Arc<Suite>>) -> Result<Arc<Suite>, Fault> {
        let found = self.look(last.as_ref()).await;
        self.observe.suite_activity(None);
        match (found, last) {
            (Err(fault), Some(last)) if fault.cause == Cause::Infrastructure => {
                tracing::warn!(name: "suite_refresh_failed", %fault, commit = last.commit, "the suite could not be refreshed; the last one serves");
                Ok(last)
            }
            (found, _) => found,
        }
    }

    async fn look(&self, last: Option<&Arc<Suite>>) -> Result<Arc<Suite>, Fault> {
        let started = Instant::now();
        self.observe.suite_activity(Some("fetching the suite"));
        let reference = self.settings.tests_ref.as_deref();
        let (commit, tree) = self.checkout.suite(&self.settings.tests_url, reference, &self.home).await?;
        if let Some(last) = last.filter(|last| last.commit == commit && last.is_there()) {
            return Ok(last.clone());
        }
        // Boxed: it is large, and rarely needed.
        let until = Deadline::within(ENVIRONMENT);
        let python = Box::pin(self.environments.interpreter(&tree, &until)).await?;
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

    async fn template(&self, tree: &Path, python: &Path, commit: &str) -> Result<Template, Fault> {
        if !tree.join("run_tests.py").is_file() {
            let message = "the suite has no run_tests.py; say with --test-command how it is run";
            return Err(Fault::new(Progress::Prepare, Cause::Suite, message));
        }
        let help = self.help(tree, python, commit).await?;
        tracing::debug!(name: "suite_preset", preset = ?self.settings.suite_preset, "the suite's command line");
        Ok(Template::of_preset(self.settings.suite_preset, &help))
    }

    /// What `run_tests.py --help` prints; asked once for each commit. One that exits with an error has nothing to say, which
    /// is an answer; one that was killed or took too long has given none.
    async fn help(&self, tree: &Path, python: &Path, commit: &str) -> Result<String, Fault> {
        let kept = self.home.join(format!("help-{commit}"));
        if let Ok(help) = fs::read_to_string(&kept) {
            return Ok(help);
        }
        let fail = |what: String| Fault::new(Progress::Prepare, Cause::Infrastructure, what);
        let io = |error: std::io::Error| fail(format!("cannot look at the suite's command line: {error}"));
        self.observe.suite_activity(Some("looking at the suite's command line"));
        // In a copy: a run_tests.py that knows no --help may well begin to run, and write.
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
            .run(spec, &Deadline::within(LOOK))
            .await
            .map_err(|error| fail(error.to_string()))?;
        // On a machine under load it may not have come to its answer. To go on with a guess would be to call a suite of
        // the other generation wrongly, and to answer every student's task by that.
        if exit.stopped.is_some() || exit.code.is_none() {
            let how = if exit.stopped.is_some() {
                format!("did not end within {}", show(LOOK))
            } else {
                format!("ended with {}", exit.describe())
            };
            return Err(fail(format!(
                "run_tests.py --help {how}, so that it is not known how the suite is called; it is asked again (--test-command would say it)"
            )));
        }
        let help = exit.stdout.text();
        if exit.success() {
            fs::write(&kept, &help).map_err(io)?;
        } else {
            tracing::warn!(name: "suite_help_failed", exit = exit.describe(), words = exit.last_words(), "run_tests.py --help failed");
        }
        Ok(help)
    }
}
