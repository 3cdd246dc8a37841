//! Checks out a student's repository: fetch, measure, check, write.

use std::fs;
use std::time::Instant;

use git2::Repository;

use super::cache::packs;
use super::error::{Failure, Kind};
use super::fetch::{Tip, Want, fetch};
use super::job::Job;
use super::protocol::{CheckedOut, Checkout};
use super::setup::Environment;
use super::url::RepositoryUrl;
use super::work_tree;

/// Performs `request`. If an attempt with cached objects fails, a second one starts without them.
pub(super) fn perform(request: &Checkout, environment: Environment) -> Result<CheckedOut, Failure> {
    let start = Instant::now();
    let Checkout { url, into, allow_local, limits, cache, .. } = request;
    let mut job = Job::new(environment, *allow_local, *limits)?;
    check_local(url, *allow_local)?;
    let (used_cache, result) = attempt(request, &job, true);
    let (repository, tip) = match result {
        // The cached objects may be the cause.
        Err(failure)
            if used_cache && !matches!(failure.kind, Kind::LoginRefused | Kind::MissingRepository) =>
        {
            fs::remove_dir_all(into).map_err(|error| Failure::io("cannot start again", &error))?;
            job.reset_budget();
            let done = attempt(request, &job, false).1?;
            cache.as_deref().into_iter().for_each(packs::discard);
            done
        }
        result => result?,
    };
    // If the cache cannot be written, only the next attempt is slower.
    cache.as_deref().map(|folder| packs::save(folder, &repository, &tip).ok());
    let budget = &job.budget;
    Ok(CheckedOut {
        commit: tip.commit.to_string(),
        branch: tip.branch,
        bytes: budget.bytes.get(),
        files: budget.files.get(),
        submodules: budget.submodules.get(),
        received: budget.received.get(),
        milliseconds: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

/// Checks once more, in the child, that a local repository is allowed.
fn check_local(url: &RepositoryUrl, allow_local: bool) -> Result<(), Failure> {
    match RepositoryUrl::parse(&url.expose(), allow_local) {
        Ok(_) => Ok(()),
        Err(message) => Err(Failure::new(Kind::NotAllowed, message)),
    }
}

/// Fetches and writes once. The first value is whether cached objects were used; `use_cache` allows it.
fn attempt(request: &Checkout, job: &Job, use_cache: bool) -> (bool, Result<(Repository, Tip), Failure>) {
    let Checkout { url, branch, into, cache, .. } = request;
    let cache = cache.as_deref().filter(|_| use_cache);
    let repository = match job.configuration.init(into, false) {
        Ok(repository) => repository,
        Err(failure) => return (false, Err(failure)),
    };
    let Ok(restored) = cache.map(|folder| packs::restore(folder, &repository)).transpose() else {
        // The cache is damaged: remove it, and what was copied from it.
        cache.into_iter().for_each(packs::discard);
        return match fs::remove_dir_all(into) {
            Ok(()) => attempt(request, job, false),
            Err(error) => (false, Err(Failure::io("cannot start again", &error))),
        };
    };
    let result = fetch(&repository, url, Want::Branch(branch.as_deref()), job).and_then(|tip| {
        packs::remove_reference(&repository);
        work_tree::write(&repository, url, &tip, job).map(|()| tip)
    });
    (restored.unwrap_or(false), result.map(|tip| (repository, tip)))
}
