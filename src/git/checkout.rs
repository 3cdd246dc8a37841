//! A student's work tree: fetched, measured, looked over, written.

use std::fs;
use std::path::Path;
use std::time::Instant;

use git2::build::CheckoutBuilder;
use git2::{Oid, Repository};

use super::error::{Failure, Kind};
use super::fetch::{Tip, Want, fetch};
use super::{CheckedOut, Checkout, Environment, Job, cache, measure, submodule};
use crate::git::url::RepositoryUrl;

pub(super) fn perform(request: &Checkout, environment: Environment) -> Result<CheckedOut, Failure> {
    let start = Instant::now();
    let Checkout { url, into, allow_local, limits, cache, .. } = request;
    let mut job = Job::new(environment, *allow_local, *limits)?;
    submodule::refuse_local(url, *allow_local)?;
    let (lent, done) = attempt(request, &job, true);
    let (repository, tip) = match done {
        // Perhaps not the remote's fault.
        Err(failure) if lent && !matches!(failure.kind, Kind::LoginRefused | Kind::MissingRepository) => {
            fs::remove_dir_all(into).map_err(|e| Failure::io("cannot begin anew", &e))?;
            job.restart();
            let done = attempt(request, &job, false).1?;
            cache.as_deref().into_iter().for_each(cache::discard);
            done
        }
        done => done?,
    };
    // Without it, the next attempt only takes longer.
    cache.as_deref().map(|folder| cache::keep(folder, &repository, &tip).ok());
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

/// Fetches and writes, with what is kept of the repository if `lend`; whether anything was.
fn attempt(request: &Checkout, job: &Job, lend: bool) -> (bool, Result<(Repository, Tip), Failure>) {
    let Checkout { url, branch, into, cache, .. } = request;
    let cache = cache.as_deref().filter(|_| lend);
    let repository = match job.configuration.init(into, false) {
        Ok(repository) => repository,
        Err(failure) => return (false, Err(failure)),
    };
    let Ok(found) = cache.map(|folder| cache::lend(folder, &repository)).transpose() else {
        // Damaged: what was copied of it must not stay, here or there.
        cache.into_iter().for_each(cache::discard);
        let cleared = fs::remove_dir_all(into).map_err(|e| Failure::io("cannot begin anew", &e));
        return match cleared {
            Ok(()) => attempt(request, job, false),
            Err(failure) => (false, Err(failure)),
        };
    };
    let found = found.unwrap_or(false);
    let done = fetch(&repository, url, Want::Branch(branch.as_deref()), job).and_then(|tip| {
        cache::forget(&repository);
        write(&repository, url, &tip, job, 0).map(|()| tip)
    });
    (found, done.map(|tip| (repository, tip)))
}

/// Writes the work tree of `tip`, whose objects are in `repository`, and of its submodules; `depth` counts those above.
pub(super) fn write(
    repository: &Repository,
    url: &RepositoryUrl,
    tip: &Tip,
    job: &Job,
    depth: u64,
) -> Result<(), Failure> {
    let contents = measure::tree(repository, url, tip.commit, &job.budget)?;
    // Before libgit2 reads `.gitmodules` for itself.
    let submodules = submodule::plan(repository, url, tip.commit, &contents, job)?;
    write_files(repository, tip.commit).map_err(|e| Failure::content(url, "write the files of", &e))?;
    attach_head(repository, tip).map_err(|e| Failure::content(url, "finish the work tree of", &e))?;
    let top = repository.workdir().unwrap_or(Path::new("")).to_owned();
    submodules.iter().try_for_each(|submodule| submodule::check_out(submodule, url, &top, job, depth))
}

fn write_files(repository: &Repository, commit: Oid) -> Result<(), git2::Error> {
    let mut options = CheckoutBuilder::new();
    options.force();
    repository.checkout_tree(repository.find_commit(commit)?.as_object(), Some(&mut options))
}

/// HEAD is on the branch, so that `git status` works there; a name that no filesystem holds leaves it detached.
fn attach_head(repository: &Repository, tip: &Tip) -> Result<(), git2::Error> {
    if let Some(branch) = &tip.branch {
        let name = format!("refs/heads/{branch}");
        if repository.reference(&name, tip.commit, true, "checkout").is_ok() {
            return repository.set_head(&name);
        }
    }
    repository.set_head_detached(tip.commit)
}
