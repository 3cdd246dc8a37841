//! The runner's side of git: starts the git child for each request, with limits on time, size and writable folders.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cache::folders::CacheFolders;
use super::environment;
use super::protocol::{self, Answer, Limits, MODE, Request};
use super::settings::Settings;
use super::url::RepositoryUrl;
use crate::live::Live;
use crate::observe::Observe;
use report::{Cause, Fault, Progress};
use sandbox::command::{Deadline, Exit, Launcher, Spec};
use sandbox::workspace::remove_tree;

/// Checks out repositories in a git child.
#[derive(Debug, Clone)]
pub struct GitClient {
    settings: Live<Settings>,
    launcher: Launcher,
    observe: Observe,
    cache: Option<CacheFolders>,
}

impl GitClient {
    /// Creates the client; its cache is below the state folder `state`.
    pub fn new(settings: Live<Settings>, launcher: Launcher, observe: Observe, state: &Path) -> Self {
        let cache = settings.get().repository_cache.0;
        let cache = cache.map(|max_bytes| CacheFolders::new(state.join("repositories"), max_bytes));
        Self { settings, launcher, observe, cache }
    }

    /// Parses the repository URL of a task and checks its scheme, before git's configuration can rewrite it.
    ///
    /// # Errors
    ///
    /// A fault of the task: the URL is invalid, or local while local repositories are not allowed.
    pub fn url(&self, text: &str) -> Result<RepositoryUrl, Fault> {
        RepositoryUrl::parse(text, self.settings.get().allow_local_repositories)
            .map_err(|message| Fault::new(Progress::Claim, Cause::Task, message))
    }

    /// Checks out `branch` of `url` (`None`: its default branch) into `into`; returns the commit.
    ///
    /// # Errors
    ///
    /// A fault with the cause of the failure: the task, the program, a limit or the infrastructure.
    pub async fn student(
        &self,
        url: &RepositoryUrl,
        branch: Option<&str>,
        into: &Path,
    ) -> Result<String, Fault> {
        // An earlier attempt may have left files.
        remove_tree(into).ok();
        let request = Request::Checkout(protocol::Checkout {
            url: url.clone(),
            branch: branch.map(str::to_owned),
            into: into.to_owned(),
            allow_local: self.settings.get().allow_local_repositories,
            limits: self.limits(),
            // Without a cache folder, the fetch only takes longer.
            cache: self.cache.as_ref().and_then(|cache| cache.of(&url.expose()).ok()),
        });
        let folder = into.parent().unwrap_or(into);
        match self.perform(&request, Progress::Checkout, folder).await? {
            Answer::CheckedOut(done) => {
                tracing::debug!(
                    name: "fetched",
                    received = done.received,
                    bytes = done.bytes,
                    files = done.files,
                    "checked out"
                );
                if let Some(cache) = self.cache.clone().filter(|_| done.received > 0) {
                    tokio::task::spawn_blocking(move || cache.prune());
                }
                Ok(done.commit)
            }
            other => Err(unexpected(Progress::Checkout, &format!("{other:?}"))),
        }
    }

    /// Updates the mirror of the suite below `home`; returns the commit of `reference` and the folder of its tree.
    ///
    /// # Errors
    ///
    /// A fault if the mirror cannot be updated and contains no commit for `reference`.
    pub async fn suite(
        &self,
        url: &RepositoryUrl,
        reference: Option<&str>,
        home: &Path,
    ) -> Result<(String, PathBuf), Fault> {
        let request = Request::Mirror(protocol::Mirror {
            url: url.clone(),
            reference: reference.map(str::to_owned),
            mirror: home.join("mirror.git"),
            trees: home.join("trees"),
            limits: self.limits(),
        });
        std::fs::create_dir_all(home).map_err(|error| {
            let message = format!("cannot make {}: {error}", home.display());
            Fault::new(Progress::Prepare, Cause::Infrastructure, message)
        })?;
        let answer = self.perform(&request, Progress::Prepare, home).await;
        self.observe.suite(match &answer {
            Ok(Answer::Mirrored(done)) => done.warning.clone().map_or(Ok(()), Err),
            Ok(_) => Ok(()),
            Err(fault) => Err(fault.message.clone()),
        });
        match answer? {
            Answer::Mirrored(done) => {
                if let Some(warning) = done.warning {
                    tracing::warn!(
                        name: "suite_refresh_failed",
                        warning,
                        commit = done.commit,
                        "cannot refresh the suite; using the last known version"
                    );
                }
                Ok((done.commit, done.tree))
            }
            other => Err(unexpected(Progress::Prepare, &format!("{other:?}"))),
        }
    }

    fn limits(&self) -> Limits {
        let settings = self.settings.get();
        let (bytes, files) = (settings.max_repository, settings.max_repository_files);
        Limits { bytes, files, ..Limits::default() }
    }

    /// Performs `request` in a child that can write only to `folder` and the cache. The request is passed on stdin,
    /// because its URL may contain a password.
    async fn perform(&self, request: &Request, progress: Progress, folder: &Path) -> Result<Answer, Fault> {
        let infrastructure = |message: String| Fault::new(progress, Cause::Infrastructure, message);
        let cache = match request {
            Request::Checkout(checkout) => checkout.cache.as_deref(),
            Request::Mirror(_) => None,
        };
        let writable: Vec<&Path> = std::iter::once(folder).chain(cache).collect();
        let spec = Spec {
            program: self.launcher.exe().display().to_string(),
            args: vec![MODE.to_owned()],
            env: environment::of_child(),
            dir: PathBuf::from("/"),
            stdin: serde_json::to_string(request).map_err(|error| infrastructure(error.to_string()))?,
            plan: self.launcher.sandbox().tool(&writable),
            output: None,
        };
        let limit = self.settings.get().checkout_timeout;
        let exit = self.launcher.run(spec, &Deadline::within(limit)).await;
        let exit = exit.map_err(|error| infrastructure(error.to_string()))?;
        match serde_json::from_slice(&exit.stdout.head) {
            Ok(Answer::Failed(failure)) => Err(failure.fault(progress)),
            Ok(answer) => Ok(answer),
            Err(_) => Err(no_answer(request, progress, &exit, limit)),
        }
    }
}

/// The fault for a child that ended without an answer: at its deadline, or because it crashed.
fn no_answer(request: &Request, progress: Progress, exit: &Exit, limit: Duration) -> Fault {
    let url = request.url();
    if exit.stopped.is_some() {
        let message = format!("fetching {url} did not end within {}", text::units::show(limit));
        return Fault::new(progress, Cause::Infrastructure, message);
    }
    let last_line = exit.last_words().map(|line| format!(": {}", url.scrub(&line))).unwrap_or_default();
    Fault::new(progress, Cause::Program, format!("git crashed on {url} ({}){last_line}", exit.describe()))
}

/// The fault for an answer to another request.
fn unexpected(progress: Progress, answer: &str) -> Fault {
    Fault::new(progress, Cause::Infrastructure, format!("the git child sent an unexpected answer: {answer}"))
}
