//! The operator's test suite: a bare mirror that is refreshed, not cloned, and the tree of a commit, exported once.
//!
//! Whatever kills it leaves only what the next request finds and clears: new things are made beside and renamed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use git2::{ErrorCode, Oid, Reference, Repository};

use super::error::{Failure, Kind, quoted};
use super::fetch::{Head, Session, Tip, session};
use super::{Environment, Job, Mirror, Mirrored, checkout};

/// Names of unfinished things begin so.
const UNFINISHED: &str = ".unfinished-";
/// Where a mirror notes what it is a mirror of.
const SOURCE: &str = "runner.source";

/// What the mirror came to.
struct Refreshed {
    commit: Oid,
    asked: bool,
    changed: bool,
    warning: Option<String>,
}

pub(super) fn perform(request: &Mirror, environment: Environment) -> Result<Mirrored, Failure> {
    let start = Instant::now();
    let mut job = Job::new(environment, true, request.limits)?;
    let folder = request.mirror.parent().unwrap_or(Path::new("."));
    for folder in [folder, &request.trees] {
        fs::create_dir_all(folder)
            .map_err(|e| Failure::io("cannot make the folder of the suite's mirror", &e))?;
    }
    // Held until the end of this process at the latest: what is unfinished under these locks is nobody's.
    let _mirror = lock(&beside(&request.mirror, "", ".lock"))?;
    let _trees = lock(&request.trees.join(".lock"))?;
    clear_unfinished(folder);
    clear_unfinished(&request.trees);

    let (refreshed, tree, exported) = match provide(request, &job, false) {
        // Not the remote's fault, then: a new mirror, and the old one only where a new one cannot be had.
        Err(failure) if matches!(failure.kind, Kind::Damaged | Kind::Other) && request.mirror.exists() => {
            job.restart();
            provide(request, &job, true).or_else(|failure| provide_stale(request, &job, failure))?
        }
        other => other?,
    };
    Ok(Mirrored {
        commit: refreshed.commit.to_string(),
        tree,
        refreshed: refreshed.asked,
        changed: refreshed.changed || exported,
        warning: refreshed.warning,
        milliseconds: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

fn provide(request: &Mirror, job: &Job, anew: bool) -> Result<(Refreshed, PathBuf, bool), Failure> {
    let known = if anew { None } else { open(request, job)? };
    let is_new = known.is_none();
    let (repository, path) = match known {
        Some(repository) => (repository, request.mirror.clone()),
        None => make(request, job)?,
    };
    let refreshed = refresh(&repository, request, job, is_new)?;
    let (tree, exported) = tree_of(&repository, request, refreshed.commit, job)?;
    drop(repository);
    if is_new {
        let failed = |e: std::io::Error| Failure::io("cannot put the suite's mirror in its place", &e);
        let old = beside(&path, "", ".old");
        if request.mirror.exists() {
            fs::rename(&request.mirror, &old).map_err(failed)?;
        }
        fs::rename(&path, &request.mirror).map_err(failed)?;
        let _ = fs::remove_dir_all(&old);
    }
    Ok((refreshed, tree, exported))
}

/// What the mirror still holds, where neither it nor the remote can do better.
fn provide_stale(
    request: &Mirror,
    job: &Job,
    failure: Failure,
) -> Result<(Refreshed, PathBuf, bool), Failure> {
    let Ok(Some(repository)) = open(request, job) else { return Err(failure) };
    let refreshed = stale(&repository, request, failure.clone())?;
    let (tree, exported) = tree_of(&repository, request, refreshed.commit, job).map_err(|_| failure)?;
    Ok((refreshed, tree, exported))
}

fn tree_of(
    repository: &Repository,
    request: &Mirror,
    commit: Oid,
    job: &Job,
) -> Result<(PathBuf, bool), Failure> {
    let tree = request.trees.join(commit.to_string());
    let missing = !tree.is_dir();
    if missing {
        export(repository, request, commit, &tree, job)?;
    }
    Ok((tree, missing))
}

/// The mirror; one of another repository, or one that cannot be opened, is none.
fn open(request: &Mirror, job: &Job) -> Result<Option<Repository>, Failure> {
    let Ok(repository) = Repository::open_bare(&request.mirror) else { return Ok(None) };
    let of = git2::Config::open(&request.mirror.join("config")).and_then(|config| config.get_string(SOURCE));
    if of.is_ok_and(|of| of == request.url.without_secrets()) {
        job.configuration.apply(&repository)?;
        return Ok(Some(repository));
    }
    Ok(None)
}

/// A new mirror, beside the place where it will be.
fn make(request: &Mirror, job: &Job) -> Result<(Repository, PathBuf), Failure> {
    let path = unfinished(&request.mirror);
    let _ = fs::remove_dir_all(&path);
    let repository = job.configuration.init(&path, true)?;
    git2::Config::open(&path.join("config"))
        .and_then(|mut config| config.set_str(SOURCE, &request.url.without_secrets()))
        .map_err(|e| Failure::content(&request.url, "note the source of the mirror of", &e))?;
    Ok((repository, path))
}

fn refresh(repository: &Repository, request: &Mirror, job: &Job, is_new: bool) -> Result<Refreshed, Failure> {
    // A commit never changes: where it is known nobody is asked.
    if let Some(commit) =
        request.reference.as_deref().filter(|name| name.len() == 40).and_then(|name| Oid::from_str(name).ok())
        && repository.find_commit(commit).is_ok()
    {
        return Ok(Refreshed { commit, asked: false, changed: false, warning: None });
    }
    match session(repository, &request.url, job, |session| update(repository, request, session)) {
        Ok(changed) => {
            Ok(Refreshed { commit: resolve(repository, request)?, asked: true, changed, warning: None })
        }
        Err(failure) if is_new || matches!(failure.kind, Kind::Damaged | Kind::Other | Kind::Disk) => {
            Err(failure)
        }
        Err(failure) => stale(repository, request, failure),
    }
}

fn stale(repository: &Repository, request: &Mirror, failure: Failure) -> Result<Refreshed, Failure> {
    let Ok(commit) = resolve(repository, request) else { return Err(failure) };
    let warning = Some(format!("the suite may be out of date: {}", failure.message));
    Ok(Refreshed { commit, asked: false, changed: false, warning })
}

/// Makes the mirror's names those of the remote; fetches only where one of them differs.
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
    let on = default.as_ref().map(|head| head.name.as_str()).filter(|name| *name != "HEAD");
    let same_head = on.is_none_or(|name| {
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
    // It answers and yet this fails: what it was told that is here is not.
    session.download(&["refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*"]).map_err(|failure| {
        match failure.kind {
            Kind::Network if !known.is_empty() => Failure { kind: Kind::Damaged, ..failure },
            _ => failure,
        }
    })?;
    // Old names go first: `a` may have become `a/b`.
    for (name, _) in known.iter().filter(|(name, _)| !wanted.iter().any(|head| head.name == *name)) {
        repository.find_reference(name).and_then(|mut gone| gone.delete()).map_err(failed)?;
    }
    for head in wanted.iter().filter(|head| !known.contains(&(head.name.clone(), head.oid))) {
        repository.reference(&head.name, head.oid, true, "mirror").map_err(failed)?;
    }
    match (on, &default) {
        (Some(name), _) => repository.set_head(name).map_err(failed)?,
        (None, Some(head)) => repository.set_head_detached(head.oid).map_err(failed)?,
        (None, None) => {}
    }
    Ok(true)
}

fn is_mirrored(name: &str) -> bool {
    (name.starts_with("refs/heads/") || name.starts_with("refs/tags/")) && Reference::is_valid_name(name)
}

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

/// The commit that the request's reference stands for: a branch, then a tag, then a commit.
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

/// A name that is there and leads nowhere is a broken mirror.
fn damaged_or_missing(request: &Mirror, name: &str, error: &git2::Error) -> Failure {
    let url = &request.url;
    if error.code() == ErrorCode::UnbornBranch {
        return Failure::new(Kind::MissingBranch, format!("the HEAD of {url} is on no branch that is there"));
    }
    Failure::new(
        Kind::Damaged,
        format!("{} of the mirror of {url} leads nowhere: {}", quoted(name), error.message()),
    )
}

/// Writes the tree of `commit` beside its place, with its submodules and without `.git`, and renames it.
fn export(mirror: &Repository, request: &Mirror, commit: Oid, tree: &Path, job: &Job) -> Result<(), Failure> {
    let path = unfinished(tree);
    let _ = fs::remove_dir_all(&path);
    let _ = fs::remove_dir_all(&path);
    let repository = job.configuration.init(&path, false)?;
    let objects = mirror.path().join("objects");
    let failed = |e: git2::Error| Failure::content(&request.url, "export the tree of", &e);
    repository.odb().and_then(|odb| odb.add_disk_alternate(&objects.to_string_lossy())).map_err(failed)?;
    checkout::write(&repository, &request.url, &Tip { commit, branch: None }, job, 0)?;
    drop(repository);
    let failed = |e: std::io::Error| Failure::io("cannot put the suite's tree in its place", &e);
    strip_git(&path).map_err(failed)?;
    // A power cut must not leave the right name with empty files under it.
    let folder = File::open(&path).map_err(failed)?;
    nix::unistd::syncfs(&folder).map_err(|e| failed(e.into()))?;
    fs::rename(&path, tree).map_err(failed)
}

/// Removes each repository in the tree: only git's own folders can have this name.
fn strip_git(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        if entry.file_name() == ".git" {
            fs::remove_dir_all(entry.path())?;
        } else {
            strip_git(&entry.path())?;
        }
    }
    Ok(())
}

fn unfinished(path: &Path) -> PathBuf {
    beside(path, UNFINISHED, "")
}

fn beside(path: &Path, before: &str, after: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{before}{name}{after}"))
}

fn clear_unfinished(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(UNFINISHED))
    {
        let _ = fs::remove_dir_all(entry.path());
    }
}

fn lock(path: &Path) -> Result<File, Failure> {
    let failed = |e| Failure::io("cannot lock the suite's mirror", &e);
    let file = File::options().create(true).truncate(false).write(true).open(path).map_err(failed)?;
    file.lock().map_err(failed)?;
    Ok(file)
}
