//! Fetches from a remote: reads its list of references and downloads one commit, or a mirror's references.
//!
//! A requested name must equal a name in that list; it never becomes a pattern of a refspec.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use git2::{
    AutotagOption, Direction, ErrorCode, FetchOptions, ObjectType, Oid, ProxyOptions, Reference,
    RemoteCallbacks, RemoteConnection, Repository,
};

use super::auth::Login;
use super::error::{Failure, Kind, quoted, size};
use super::job::Job;
use super::setup;
use super::url::RepositoryUrl;

/// Maximum size of a commit object in bytes; ordinary ones have a few hundred.
const MAX_COMMIT_BYTES: usize = 1 << 20;

/// A reference in the list of the remote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) name: String,
    pub(super) oid: Oid,
    /// The target of a symbolic reference.
    pub(super) target: Option<String>,
}

/// What to fetch.
#[derive(Debug, Clone, Copy)]
pub(super) enum Want<'a> {
    /// The branch of this name; `None`: the remote's default branch.
    Branch(Option<&'a str>),
    /// This commit.
    Commit(Oid),
}

/// A fetched commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tip {
    pub(super) commit: Oid,
    /// The branch that points to it; `None` if it was fetched by its id or from a detached HEAD.
    pub(super) branch: Option<String>,
}

/// A connection to a remote.
pub(super) struct Session<'r, 'c, 's> {
    connection: RemoteConnection<'r, 'c, 's>,
    /// The references of the remote.
    pub(super) heads: Vec<Head>,
    url: &'s RepositoryUrl,
    login: &'s Login<'s>,
    job: &'s Job,
    /// Set if the remote sends more bytes than the limit.
    over_limit: &'s Cell<bool>,
}

/// What to request; each strategy follows if the remote refuses the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strategy {
    /// One commit, without its history.
    Shallow,
    /// One commit with its history: the local transport and some servers do not support shallow fetches.
    Deep,
    /// All branches: some servers do not send a commit by its id.
    Everything,
}

/// Why a download failed.
enum DownloadError {
    /// The remote does not support this request; another strategy may work.
    TryNext(Strategy),
    Failed(Failure),
}

/// Fetches `want` into `repository`, without its history if the transport supports that.
pub(super) fn fetch(
    repository: &Repository,
    url: &RepositoryUrl,
    want: Want<'_>,
    job: &Job,
) -> Result<Tip, Failure> {
    let mut strategy = Strategy::Shallow;
    loop {
        // A connection cannot be used after a refusal.
        let tip = session(repository, url, job, |session| match session.fetch(want, strategy) {
            Ok(tip) => Ok(Some(tip)),
            Err(DownloadError::Failed(failure)) => Err(failure),
            Err(DownloadError::TryNext(next)) => {
                strategy = next;
                Ok(None)
            }
        })?;
        if let Some(tip) = tip {
            return check_commit(repository, url, tip.commit).map(|()| tip);
        }
    }
}

/// Checks that the commit was received and is small enough to read.
fn check_commit(repository: &Repository, url: &RepositoryUrl, commit: Oid) -> Result<(), Failure> {
    match repository.odb().and_then(|odb| odb.read_header(commit)) {
        Ok((bytes, ObjectType::Commit)) if bytes <= MAX_COMMIT_BYTES => Ok(()),
        Ok((_, ObjectType::Commit)) => {
            let max = size(MAX_COMMIT_BYTES as u64);
            Err(Failure::new(
                Kind::TooLarge,
                format!("the commit {commit} of {url} has a message of more than {max}"),
            ))
        }
        Ok(_) => Err(Failure::new(Kind::Damaged, format!("{commit} of {url} is no commit"))),
        Err(e) if e.code() == ErrorCode::NotFound => {
            Err(Failure::new(Kind::MissingBranch, format!("{url} has no commit {commit}")))
        }
        Err(e) => Err(Failure::content(url, "read the commit of", &e)),
    }
}

/// Connects to `url`, reads its list of references and calls `work` with the connection.
pub(super) fn session<T>(
    repository: &Repository,
    url: &RepositoryUrl,
    job: &Job,
    work: impl FnOnce(&mut Session<'_, '_, '_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let login = Login::new(url, &job.environment);
    let over_limit = Cell::new(false);
    let failed = |e: git2::Error| Failure::remote(url, &e, login.was_offered());
    // libgit2 applies `insteadOf` here, after the check of the URL.
    let mut remote = repository.remote_anonymous(&url.without_secrets()).map_err(failed)?;
    if let Some(longer) = remote.url().ok().and_then(with_suffix) {
        remote = repository.remote_anonymous(&longer).map_err(failed)?;
    }
    if remote.url().is_ok_and(is_missing_path) {
        return Err(Failure::new(Kind::MissingRepository, format!("there is no repository at {url}")));
    }
    setup::trust(remote.url().unwrap_or_default(), &job.environment)?;
    let connection = remote
        .connect_auth(Direction::Fetch, Some(callbacks(&login, job, &over_limit)), Some(proxy()))
        .map_err(failed)?;
    let heads = connection.list().map_err(failed)?.iter().filter_map(read_head).collect();
    work(&mut Session { connection, heads, url, login: &login, job, over_limit: &over_limit })
}

/// Whether a remote is a path of this machine that does not exist: libgit2 reports it as an unknown protocol.
fn is_missing_path(url: &str) -> bool {
    let path = url.strip_prefix("file://").unwrap_or(url);
    path.starts_with('/') && !Path::new(path).exists() && !path.contains('%')
}

/// The path with the suffix `.git`, if only that exists on this machine. git does the same.
fn with_suffix(url: &str) -> Option<String> {
    let path = url.strip_prefix("file://").unwrap_or(url);
    let longer = format!("{}.git", path.trim_end_matches('/'));
    let only_longer = path.starts_with('/') && !Path::new(path).exists() && Path::new(&longer).is_dir();
    only_longer.then_some(longer)
}

impl Session<'_, '_, '_> {
    /// Downloads the references of `specs` with their history. Creates no local references.
    pub(super) fn download(&mut self, specs: &[&str]) -> Result<(), Failure> {
        self.try_download(specs, 0).map_err(|error| match error {
            DownloadError::Failed(failure) => failure,
            DownloadError::TryNext(_) => {
                Failure::new(Kind::Network, format!("{} refused the fetch", self.url))
            }
        })
    }

    /// Downloads the references of `specs`. `depth` is the number of commits; 0: all.
    fn try_download(&mut self, specs: &[&str], depth: i32) -> Result<(), DownloadError> {
        let mut options = FetchOptions::new();
        options
            .remote_callbacks(callbacks(self.login, self.job, self.over_limit))
            .proxy_options(proxy())
            .update_fetchhead(false)
            .download_tags(AutotagOption::None)
            .depth(depth);
        self.connection.remote().download(specs, Some(&mut options)).map_err(|error| {
            let url = self.url;
            if self.over_limit.get() {
                let max = size(self.job.budget.limits.bytes);
                let message = format!("{url} sends more than {max}, the limit of this runner");
                return DownloadError::Failed(Failure::new(Kind::TooLarge, message));
            }
            if depth > 0 && error.message().contains("shallow") {
                return DownloadError::TryNext(Strategy::Deep);
            }
            DownloadError::Failed(Failure::remote(url, &error, self.login.was_offered()))
        })
    }

    fn fetch(&mut self, want: Want<'_>, strategy: Strategy) -> Result<Tip, DownloadError> {
        let depth = i32::from(strategy == Strategy::Shallow);
        match want {
            Want::Branch(name) => {
                let head = self.find_branch(name).map_err(DownloadError::Failed)?;
                self.try_download(&[&head.name], depth)?;
                let branch = head.name.strip_prefix("refs/heads/").map(str::to_owned);
                Ok(Tip { commit: head.oid, branch })
            }
            Want::Commit(commit) => {
                self.fetch_commit(commit, strategy)?;
                Ok(Tip { commit, branch: None })
            }
        }
    }

    fn fetch_commit(&mut self, commit: Oid, strategy: Strategy) -> Result<(), DownloadError> {
        let depth = i32::from(strategy == Strategy::Shallow);
        let named = self.heads.iter().find(|head| head.oid == commit && Reference::is_valid_name(&head.name));
        if let Some(name) = named.map(|head| head.name.clone()) {
            return self.try_download(&[&name], depth);
        }
        if strategy == Strategy::Everything {
            return self.try_download(&["refs/heads/*:refs/heads/*"], 0);
        }
        match self.try_download(&[&commit.to_string()], depth) {
            Err(DownloadError::Failed(failure)) if failure.kind != Kind::TooLarge => {
                Err(DownloadError::TryNext(Strategy::Everything))
            }
            other => other,
        }
    }

    /// Finds the branch of exactly this name; without a name, [`Self::default_head`].
    pub(super) fn find_branch(&self, name: Option<&str>) -> Result<Head, Failure> {
        let url = self.url;
        let Some(name) = name else { return self.default_head() };
        let full = format!("refs/heads/{name}");
        let found = self.heads.iter().find(|head| head.name == full);
        if let Some(head) = found.filter(|_| Reference::is_valid_name(&full)) {
            return Ok(head.clone());
        }
        self.refuse_empty()?;
        let mut others: Vec<_> = self.branches().take(6).map(quoted).collect();
        if others.len() > 5 {
            others.truncate(5);
            others.push("…".to_owned());
        }
        let others = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
        let message = format!("{url} has no branch {} (it has {others})", quoted(name));
        Err(Failure::new(Kind::MissingBranch, message))
    }

    /// Finds the branch that the remote's HEAD points to, or HEAD itself if it is detached.
    pub(super) fn default_head(&self) -> Result<Head, Failure> {
        self.refuse_empty()?;
        let none = || {
            Failure::new(
                Kind::MissingBranch,
                format!("the HEAD of {} points to a branch that does not exist", self.url),
            )
        };
        let head = self.heads.iter().find(|head| head.name == "HEAD").ok_or_else(none)?;
        let on_branch = |target: &str| {
            self.heads.iter().find(|other| other.name == target && target.starts_with("refs/heads/"))
        };
        Ok(head.target.as_deref().and_then(on_branch).unwrap_or(head).clone())
    }

    fn branches(&self) -> impl Iterator<Item = &str> {
        self.heads.iter().filter_map(|head| head.name.strip_prefix("refs/heads/"))
    }

    /// Fails if the remote has no references.
    pub(super) fn refuse_empty(&self) -> Result<(), Failure> {
        if self.heads.iter().any(|head| head.name.starts_with("refs/") || head.name == "HEAD") {
            return Ok(());
        }
        Err(Failure::new(
            Kind::EmptyRepository,
            format!("the repository {} is empty: nothing was pushed to it", self.url),
        ))
    }
}

/// Offers logins, counts received bytes and stops the transfer at the limit.
fn callbacks<'c>(login: &'c Login<'_>, job: &'c Job, over_limit: &'c Cell<bool>) -> RemoteCallbacks<'c> {
    let mut callbacks = RemoteCallbacks::new();
    callbacks.credentials(|server, user, kinds| login.next(server, user, kinds));
    let budget = &job.budget;
    let before = budget.received.get();
    callbacks.transfer_progress(move |progress| {
        budget.received.set(before.saturating_add(progress.received_bytes() as u64));
        over_limit.set(budget.received.get() > budget.limits.bytes);
        !over_limit.get()
    });
    callbacks
}

/// The proxy of git's configuration or of the environment.
fn proxy<'p>() -> ProxyOptions<'p> {
    let mut proxy = ProxyOptions::new();
    proxy.auto();
    proxy
}

/// Copies a reference of the list. `None`: its name is not UTF-8, for which git2 panics; such branches are skipped.
fn read_head(head: &git2::RemoteHead<'_>) -> Option<Head> {
    catch_unwind(AssertUnwindSafe(|| Head {
        name: head.name().to_owned(),
        oid: head.oid(),
        target: head.symref_target().map(str::to_owned),
    }))
    .ok()
}
