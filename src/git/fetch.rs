//! Speaking with a remote: what it advertises, and bringing over just what is wanted, within the budget.
//!
//! Names are looked up in the advertised list, exactly; no name of someone else's ever becomes a pattern.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use git2::{
    AutotagOption, Direction, ErrorCode, FetchOptions, ObjectType, Oid, ProxyOptions, Reference,
    RemoteCallbacks, RemoteConnection, Repository,
};

use super::Job;
use super::auth::Login;
use super::error::{Failure, Kind, quoted, size};
use super::setup;
use crate::git::url::RepositoryUrl;

/// Bytes of a commit that is read; people write a few hundred.
const COMMIT_BYTES: usize = 1 << 20;

/// A name that the remote advertises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) name: String,
    pub(super) oid: Oid,
    /// Where a symbolic one leads.
    pub(super) target: Option<String>,
}

/// What is to be fetched.
#[derive(Debug, Clone, Copy)]
pub(super) enum Want<'a> {
    Branch(Option<&'a str>),
    Commit(Oid),
}

/// What was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tip {
    pub(super) commit: Oid,
    pub(super) branch: Option<String>,
}

/// A connection to a remote.
pub(super) struct Session<'r, 'c, 's> {
    connection: RemoteConnection<'r, 'c, 's>,
    pub(super) heads: Vec<Head>,
    url: &'s RepositoryUrl,
    login: &'s Login<'s>,
    job: &'s Job,
    overrun: &'s Cell<bool>,
}

/// How much is asked for: each is tried where the one before it was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// One commit, without its history.
    Shallow,
    /// One commit with its history: the local transport and some servers have no shallow fetch.
    Deep,
    /// All branches: some servers give no commit by its own name.
    Everything,
}

/// Why a download did not work.
enum Refused {
    Try(Way),
    Failed(Failure),
}

/// Brings `want` into `repository`, without history where the transport can.
pub(super) fn fetch(
    repository: &Repository,
    url: &RepositoryUrl,
    want: Want<'_>,
    job: &Job,
) -> Result<Tip, Failure> {
    let mut way = Way::Shallow;
    loop {
        // After a refusal the connection is of no use: each way has its own.
        let tip = session(repository, url, job, |session| match session.bring(want, way) {
            Ok(tip) => Ok(Some(tip)),
            Err(Refused::Failed(failure)) => Err(failure),
            Err(Refused::Try(next)) => {
                way = next;
                Ok(None)
            }
        })?;
        if let Some(tip) = tip {
            return check_commit(repository, url, tip.commit).map(|()| tip);
        }
    }
}

/// A commit is there, and small enough to be read.
fn check_commit(repository: &Repository, url: &RepositoryUrl, commit: Oid) -> Result<(), Failure> {
    match repository.odb().and_then(|odb| odb.read_header(commit)) {
        Ok((bytes, ObjectType::Commit)) if bytes <= COMMIT_BYTES => Ok(()),
        Ok((_, ObjectType::Commit)) => {
            let most = size(COMMIT_BYTES as u64);
            Err(Failure::new(
                Kind::TooLarge,
                format!("the commit {commit} of {url} has a message of more than {most}"),
            ))
        }
        Ok(_) => Err(Failure::new(Kind::Damaged, format!("{commit} of {url} is no commit"))),
        Err(e) if e.code() == ErrorCode::NotFound => {
            Err(Failure::new(Kind::MissingBranch, format!("{url} has no commit {commit}")))
        }
        Err(e) => Err(Failure::content(url, "read the commit of", &e)),
    }
}

/// Connects to `url` and lets `work` use the connection.
pub(super) fn session<T>(
    repository: &Repository,
    url: &RepositoryUrl,
    job: &Job,
    work: impl FnOnce(&mut Session<'_, '_, '_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let login = Login::new(url, &job.environment);
    let overrun = Cell::new(false);
    let failed = |e: git2::Error| Failure::remote(url, &e, login.was_offered());
    // `insteadOf` is applied here: after the URL was checked.
    let mut remote = repository.remote_anonymous(&url.without_secrets()).map_err(failed)?;
    if let Some(longer) = remote.url().ok().and_then(with_suffix) {
        remote = repository.remote_anonymous(&longer).map_err(failed)?;
    }
    if remote.url().is_ok_and(is_missing_path) {
        return Err(Failure::new(Kind::MissingRepository, format!("there is no repository at {url}")));
    }
    setup::trust(remote.url().unwrap_or_default(), &job.environment)?;
    let connection = remote
        .connect_auth(Direction::Fetch, Some(callbacks(&login, job, &overrun)), Some(proxy()))
        .map_err(failed)?;
    let heads = connection.list().map_err(failed)?.iter().filter_map(read_head).collect();
    work(&mut Session { connection, heads, url, login: &login, job, overrun: &overrun })
}

/// Whether a remote is a path of this machine at which nothing is: libgit2 takes it for an unknown protocol.
fn is_missing_path(url: &str) -> bool {
    let path = url.strip_prefix("file://").unwrap_or(url);
    path.starts_with('/') && !Path::new(path).exists() && !path.contains('%')
}

/// A path of this machine with `.git` at its end, where only that is there: as git itself takes it.
fn with_suffix(url: &str) -> Option<String> {
    let path = url.strip_prefix("file://").unwrap_or(url);
    let longer = format!("{}.git", path.trim_end_matches('/'));
    let only_that = path.starts_with('/') && !Path::new(path).exists() && Path::new(&longer).is_dir();
    only_that.then_some(longer)
}

impl Session<'_, '_, '_> {
    /// Downloads what the remote advertises under `specs`, whole; nothing is stored under those names here.
    pub(super) fn download(&mut self, specs: &[&str]) -> Result<(), Failure> {
        self.try_download(specs, 0).map_err(|refused| match refused {
            Refused::Failed(failure) => failure,
            Refused::Try(_) => Failure::new(Kind::Network, format!("{} refused the fetch", self.url)),
        })
    }

    fn try_download(&mut self, specs: &[&str], depth: i32) -> Result<(), Refused> {
        let mut options = FetchOptions::new();
        options
            .remote_callbacks(callbacks(self.login, self.job, self.overrun))
            .proxy_options(proxy())
            .update_fetchhead(false)
            .download_tags(AutotagOption::None)
            .depth(depth);
        self.connection.remote().download(specs, Some(&mut options)).map_err(|error| {
            let url = self.url;
            if self.overrun.get() {
                let most = size(self.job.budget.limits.bytes);
                let message = format!("{url} sends more than {most}, the limit of this runner");
                return Refused::Failed(Failure::new(Kind::TooLarge, message));
            }
            if depth > 0 && error.message().contains("shallow") {
                return Refused::Try(Way::Deep);
            }
            Refused::Failed(Failure::remote(url, &error, self.login.was_offered()))
        })
    }

    fn bring(&mut self, want: Want<'_>, way: Way) -> Result<Tip, Refused> {
        let depth = i32::from(way == Way::Shallow);
        match want {
            Want::Branch(name) => {
                let head = self.find_branch(name).map_err(Refused::Failed)?;
                self.try_download(&[&head.name], depth)?;
                let branch = head.name.strip_prefix("refs/heads/").map(str::to_owned);
                Ok(Tip { commit: head.oid, branch })
            }
            Want::Commit(commit) => {
                self.bring_commit(commit, way)?;
                Ok(Tip { commit, branch: None })
            }
        }
    }

    fn bring_commit(&mut self, commit: Oid, way: Way) -> Result<(), Refused> {
        let depth = i32::from(way == Way::Shallow);
        let named = self.heads.iter().find(|head| head.oid == commit && Reference::is_valid_name(&head.name));
        if let Some(name) = named.map(|head| head.name.clone()) {
            return self.try_download(&[&name], depth);
        }
        if way == Way::Everything {
            return self.try_download(&["refs/heads/*:refs/heads/*"], 0);
        }
        match self.try_download(&[&commit.to_string()], depth) {
            Err(Refused::Failed(failure)) if failure.kind != Kind::TooLarge => {
                Err(Refused::Try(Way::Everything))
            }
            other => other,
        }
    }

    /// The branch of exactly this name; without a name, the one that the remote's HEAD is on, or its HEAD.
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

    pub(super) fn default_head(&self) -> Result<Head, Failure> {
        self.refuse_empty()?;
        let none = || {
            Failure::new(
                Kind::MissingBranch,
                format!("the HEAD of {} is on no branch that is there", self.url),
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

fn callbacks<'c>(login: &'c Login<'_>, job: &'c Job, overrun: &'c Cell<bool>) -> RemoteCallbacks<'c> {
    let mut callbacks = RemoteCallbacks::new();
    callbacks.credentials(|asker, user, kinds| login.answer(asker, user, kinds));
    let budget = &job.budget;
    let before = budget.received.get();
    callbacks.transfer_progress(move |progress| {
        budget.received.set(before.saturating_add(progress.received_bytes() as u64));
        overrun.set(budget.received.get() > budget.limits.bytes);
        !overrun.get()
    });
    callbacks
}

fn proxy<'p>() -> ProxyOptions<'p> {
    let mut proxy = ProxyOptions::new();
    proxy.auto();
    proxy
}

/// git2 panics on names that are not UTF-8, and a student may have a branch in an old encoding: it is passed over.
fn read_head(head: &git2::RemoteHead<'_>) -> Option<Head> {
    catch_unwind(AssertUnwindSafe(|| Head {
        name: head.name().to_owned(),
        oid: head.oid(),
        target: head.symref_target().map(str::to_owned),
    }))
    .ok()
}
