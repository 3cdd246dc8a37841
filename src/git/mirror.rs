//! Maintains the bare mirror of the test suite: fetches changes from the remote and resolves the requested reference.
//!
//! New mirrors and trees are written under temporary names and renamed, so a kill leaves only unfinished folders, which
//! the next request removes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use git2::{ErrorCode, Oid, Reference, Repository};

use super::error::{Failure, Kind, quoted};
use super::export::export_once;
use super::fetch::{Head, Session, session};
use super::job::Job;
use super::protocol::{Mirror, Mirrored};
use super::setup::Environment;
use super::unfinished::{self, beside};

/// The key in a mirror's configuration that contains the URL of its remote.
const SOURCE: &str = "runner.source";

/// The requested commit of a mirror.
struct Resolved {
    commit: Oid,
    /// Whether the remote answered.
    refreshed: bool,
    /// Whether the mirror changed.
    changed: bool,
    /// Why the commit may be out of date.
    warning: Option<String>,
}

/// A resolved commit and its exported tree.
struct Suite {
    resolved: Resolved,
    tree: PathBuf,
    /// Whether this request exported the tree.
    exported: bool,
}

/// Performs `request`. Replaces a damaged mirror by a new one.
pub(super) fn perform(request: &Mirror, environment: Environment) -> Result<Mirrored, Failure> {
    let start = Instant::now();
    let mut job = Job::new(environment, true, request.limits)?;
    let folder = request.mirror.parent().unwrap_or(Path::new("."));
    for folder in [folder, &request.trees] {
        fs::create_dir_all(folder)
            .map_err(|e| Failure::io("cannot make the folder of the suite's mirror", &e))?;
    }
    // The locks end with this process at the latest. Under them, no other process has unfinished folders here.
    let _mirror = lock(&beside(&request.mirror, "", ".lock"))?;
    let _trees = lock(&request.trees.join(".lock"))?;
    unfinished::remove_all(folder);
    unfinished::remove_all(&request.trees);

    let suite = match provide(request, &job, false) {
        // The mirror may be damaged: make a new one; if that fails, use what the old one contains.
        Err(failure) if matches!(failure.kind, Kind::Damaged | Kind::Other) && request.mirror.exists() => {
            job.reset_budget();
            provide(request, &job, true).or_else(|failure| provide_stale(request, &job, failure))?
        }
        other => other?,
    };
    let resolved = suite.resolved;
    Ok(Mirrored {
        commit: resolved.commit.to_string(),
        tree: suite.tree,
        refreshed: resolved.refreshed,
        changed: resolved.changed || suite.exported,
        warning: resolved.warning,
        milliseconds: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

/// Updates the mirror, or makes a new one if there is none or `replace` is set, and exports the requested commit.
fn provide(request: &Mirror, job: &Job, replace: bool) -> Result<Suite, Failure> {
    let existing = if replace { None } else { open(request, job)? };
    let is_new = existing.is_none();
    let (repository, path) = match existing {
        Some(repository) => (repository, request.mirror.clone()),
        None => make(request, job)?,
    };
    let resolved = refresh(&repository, request, job, is_new)?;
    let (tree, exported) = export_once(&repository, request, resolved.commit, job)?;
    drop(repository);
    if is_new {
        let failed = |e: std::io::Error| Failure::io("cannot rename the suite's mirror", &e);
        let old = beside(&path, "", ".old");
        if request.mirror.exists() {
            fs::rename(&request.mirror, &old).map_err(failed)?;
        }
        fs::rename(&path, &request.mirror).map_err(failed)?;
        let _ = fs::remove_dir_all(&old);
    }
    Ok(Suite { resolved, tree, exported })
}

/// Exports the requested commit from the existing mirror without the remote. Fails with `failure` if it cannot.
fn provide_stale(request: &Mirror, job: &Job, failure: Failure) -> Result<Suite, Failure> {
    let Ok(Some(repository)) = open(request, job) else { return Err(failure) };
    let resolved = resolve_stale(&repository, request, failure.clone())?;
    let (tree, exported) = export_once(&repository, request, resolved.commit, job).map_err(|_| failure)?;
    Ok(Suite { resolved, tree, exported })
}

/// Opens the mirror. `None`: it does not exist, cannot be opened, or is the mirror of another repository.
fn open(request: &Mirror, job: &Job) -> Result<Option<Repository>, Failure> {
    let Ok(repository) = Repository::open_bare(&request.mirror) else { return Ok(None) };
    let of = git2::Config::open(&request.mirror.join("config")).and_then(|config| config.get_string(SOURCE));
    if of.is_ok_and(|of| of == request.url.without_secrets()) {
        job.configuration.apply(&repository)?;
        return Ok(Some(repository));
    }
    Ok(None)
}

/// Makes an empty mirror under a temporary name.
fn make(request: &Mirror, job: &Job) -> Result<(Repository, PathBuf), Failure> {
    let path = unfinished::path(&request.mirror);
    let _ = fs::remove_dir_all(&path);
    let repository = job.configuration.init(&path, true)?;
    git2::Config::open(&path.join("config"))
        .and_then(|mut config| config.set_str(SOURCE, &request.url.without_secrets()))
        .map_err(|e| Failure::content(&request.url, "configure the mirror of", &e))?;
    Ok((repository, path))
}

/// Updates the mirror from the remote and resolves the reference. If the remote fails, an existing mirror is used as it is.
fn refresh(repository: &Repository, request: &Mirror, job: &Job, is_new: bool) -> Result<Resolved, Failure> {
    // A commit never changes, so a known one needs no request to the remote.
    if let Some(commit) =
        request.reference.as_deref().filter(|name| name.len() == 40).and_then(|name| Oid::from_str(name).ok())
        && repository.find_commit(commit).is_ok()
    {
        return Ok(Resolved { commit, refreshed: false, changed: false, warning: None });
    }
    match session(repository, &request.url, job, |session| update(repository, request, session)) {
        Ok(changed) => {
            Ok(Resolved { commit: resolve(repository, request)?, refreshed: true, changed, warning: None })
        }
        Err(failure) if is_new || matches!(failure.kind, Kind::Damaged | Kind::Other | Kind::Disk) => {
            Err(failure)
        }
        Err(failure) => resolve_stale(repository, request, failure),
    }
}

/// Resolves the reference in a mirror that could not be updated because of `failure`.
fn resolve_stale(repository: &Repository, request: &Mirror, failure: Failure) -> Result<Resolved, Failure> {
    let Ok(commit) = resolve(repository, request) else { return Err(failure) };
    let warning = Some(format!("the suite may be out of date: {}", failure.message));
    Ok(Resolved { commit, refreshed: false, changed: false, warning })
}

/// Copies the remote's branches and tags into the mirror; downloads only if one of them differs. Returns whether it did.
fn update(
    repository: &Repository,
    request: &Mirror,
    session: &mut Session<'_, '_, '_>,
) -> Result<bool, Failure> {
    session.refuse_empty()?;
    let failed = |e: git2::Error| Failure::content(&request.url, "update the mirror of", &e);
    let wanted: Vec<Head> = session.heads.iter().filter(|head| is_mirrored(&head.name)).cloned().collect();
    let known = known(repository).map_err(failed)?;
    let default = session.default_head().ok();
    let branch = default.as_ref().map(|head| head.name.as_str()).filter(|name| *name != "HEAD");
    let same_head = branch.is_none_or(|name| {
        repository
            .find_reference("HEAD")
            .is_ok_and(|head| head.symbolic_target().ok().flatten() == Some(name))
    });
    if same_head
        && wanted.len() == known.len()
        && wanted.iter().all(|head| known.contains(&(head.name.clone(), head.oid)))
    {
        return Ok(false);
    }
    // The remote answers, but the mirror lacks objects that it claims to have: the mirror is damaged.
    session.download(&["refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*"]).map_err(|failure| {
        match failure.kind {
            Kind::Network if !known.is_empty() => Failure { kind: Kind::Damaged, ..failure },
            _ => failure,
        }
    })?;
    // Old references are deleted first, because `a` may have become `a/b`.
    for (name, _) in known.iter().filter(|(name, _)| !wanted.iter().any(|head| head.name == *name)) {
        repository.find_reference(name).and_then(|mut old| old.delete()).map_err(failed)?;
    }
    for head in wanted.iter().filter(|head| !known.contains(&(head.name.clone(), head.oid))) {
        repository.reference(&head.name, head.oid, true, "mirror").map_err(failed)?;
    }
    match (branch, &default) {
        (Some(name), _) => repository.set_head(name).map_err(failed)?,
        (None, Some(head)) => repository.set_head_detached(head.oid).map_err(failed)?,
        (None, None) => {}
    }
    Ok(true)
}

/// Whether the mirror contains this reference of the remote.
fn is_mirrored(name: &str) -> bool {
    (name.starts_with("refs/heads/") || name.starts_with("refs/tags/")) && Reference::is_valid_name(name)
}

/// Lists the direct references of the mirror.
fn known(repository: &Repository) -> Result<Vec<(String, Oid)>, git2::Error> {
    let mut known = Vec::new();
    for reference in repository.references()? {
        let reference = reference?;
        if let (Ok(name), Some(oid)) = (reference.name(), reference.target()) {
            known.push((name.to_owned(), oid));
        }
    }
    Ok(known)
}

/// Resolves the reference of the request: as a branch, then as a tag, then as a commit.
fn resolve(repository: &Repository, request: &Mirror) -> Result<Oid, Failure> {
    let url = &request.url;
    let Some(name) = request.reference.as_deref() else {
        let head = repository.head().and_then(|head| head.peel_to_commit());
        return head.map(|commit| commit.id()).map_err(|e| damaged_or_missing(request, "HEAD", &e));
    };
    for full in [format!("refs/heads/{name}"), format!("refs/tags/{name}")] {
        if Reference::is_valid_name(&full)
            && let Ok(reference) = repository.find_reference(&full)
        {
            let commit = reference.peel_to_commit().map_err(|e| damaged_or_missing(request, name, &e))?;
            return Ok(commit.id());
        }
    }
    let hexadecimal = name.len() >= 7 && name.bytes().all(|b| b.is_ascii_hexdigit());
    let commit = hexadecimal.then(|| repository.find_commit_by_prefix(name).ok()).flatten();
    commit.map(|commit| commit.id()).ok_or_else(|| {
        let message = format!("{url} has no branch, tag or commit {}", quoted(name));
        Failure::new(Kind::MissingBranch, message)
    })
}

/// The failure for a reference without a commit: a missing branch of HEAD, or else a damaged mirror.
fn damaged_or_missing(request: &Mirror, name: &str, error: &git2::Error) -> Failure {
    let url = &request.url;
    if error.code() == ErrorCode::UnbornBranch {
        return Failure::new(
            Kind::MissingBranch,
            format!("the HEAD of {url} points to a branch that does not exist"),
        );
    }
    Failure::new(
        Kind::Damaged,
        format!("{} in the mirror of {url} has no commit: {}", quoted(name), error.message()),
    )
}

/// Locks the file at `path`, which is created if necessary; waits for other processes.
fn lock(path: &Path) -> Result<File, Failure> {
    let failed = |e| Failure::io("cannot lock the suite's mirror", &e);
    let file = File::options().create(true).truncate(false).write(true).open(path).map_err(failed)?;
    file.lock().map_err(failed)?;
    Ok(file)
}
