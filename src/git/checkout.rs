//! A student's work tree: fetched, measured, looked over, written.

use std::path::Path;
use std::time::Instant;

use git2::build::CheckoutBuilder;
use git2::{Oid, Repository};

use super::error::Failure;
use super::fetch::{Tip, Want, fetch};
use super::{CheckedOut, Checkout, Environment, Job, measure, submodule};
use crate::repository::RepositoryUrl;

pub(super) fn perform(request: &Checkout, environment: Environment) -> Result<CheckedOut, Failure> {
    let start = Instant::now();
    let Checkout { url, branch, into, allow_local, limits } = request;
    let job = Job::new(environment, *allow_local, *limits)?;
    submodule::refuse_local(url, *allow_local)?;
    let repository = job.configuration.init(into, false)?;
    let tip = fetch(&repository, url, Want::Branch(branch.as_deref()), &job)?;
    write(&repository, url, &tip, &job, 0)?;
    let budget = &job.budget;
    Ok(CheckedOut {
        commit: tip.commit.to_string(),
        branch: tip.branch,
        bytes: budget.bytes.get(),
        files: budget.files.get(),
        submodules: budget.submodules.get(),
        milliseconds: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
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
