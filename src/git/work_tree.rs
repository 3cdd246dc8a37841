//! Writes the work tree of a commit and of its submodules, one repository after the other.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use git2::build::CheckoutBuilder;
use git2::{Oid, Repository};

use super::error::Failure;
use super::fetch::{Tip, Want, fetch};
use super::job::Job;
use super::measure;
use super::submodule::{self, Submodule};
use super::url::RepositoryUrl;

/// A repository whose files are written: the requested one, or a submodule.
struct Node {
    url: RepositoryUrl,
    /// The folder of its work tree.
    folder: PathBuf,
    /// Number of repositories above it.
    depth: u64,
    /// For a submodule: its path in the repository above, and that repository.
    parent: Option<(PathBuf, Rc<Node>)>,
}

/// Writes the work tree of `tip`, whose objects are in `repository`, and fetches and writes its submodules.
pub(super) fn write(
    repository: &Repository,
    url: &RepositoryUrl,
    tip: &Tip,
    job: &Job,
) -> Result<(), Failure> {
    let folder = repository.workdir().unwrap_or(Path::new("")).to_owned();
    let top = Rc::new(Node { url: url.clone(), folder, depth: 0, parent: None });
    // The next submodule is the last one: depth first, in the order of the tree.
    let mut pending = Vec::new();
    let add = |pending: &mut Vec<_>, submodules: Vec<Submodule>, node: &Rc<Node>| {
        pending.extend(submodules.into_iter().rev().map(|submodule| (submodule, node.clone())));
    };
    add(&mut pending, write_repository(repository, &top, tip, job)?, &top);
    while let Some((submodule, parent)) = pending.pop() {
        let node = enter(&submodule, &parent, job).map_err(|failure| attribute(failure, &parent))?;
        let node = Rc::new(node);
        let submodules = check_out(&submodule, &node, job).map_err(|failure| attribute(failure, &node))?;
        add(&mut pending, submodules, &node);
    }
    Ok(())
}

/// Counts a submodule and creates its folder.
fn enter(submodule: &Submodule, parent: &Rc<Node>, job: &Job) -> Result<Node, Failure> {
    job.budget.count_submodule(&parent.url)?;
    job.budget.check_depth(parent.depth, &parent.url)?;
    let folder = submodule.create_folder(&parent.folder)?;
    let within = Some((submodule.path.clone(), parent.clone()));
    Ok(Node { url: submodule.url.clone(), folder, depth: parent.depth + 1, parent: within })
}

/// Fetches a submodule and writes its files. Returns the submodules in it.
fn check_out(submodule: &Submodule, node: &Node, job: &Job) -> Result<Vec<Submodule>, Failure> {
    let tip = Tip { commit: submodule.commit, branch: None };
    let repository = job.configuration.init(&node.folder, false)?;
    fetch(&repository, &node.url, Want::Commit(tip.commit), job)?;
    write_repository(&repository, node, &tip, job)
}

/// Measures, checks and writes the files of one repository. Returns its submodules, checked but not fetched.
fn write_repository(
    repository: &Repository,
    node: &Node,
    tip: &Tip,
    job: &Job,
) -> Result<Vec<Submodule>, Failure> {
    let url = &node.url;
    let contents = measure::tree(repository, url, tip.commit, &job.budget)?;
    // `.gitmodules` is checked before libgit2 reads it itself.
    let submodules = submodule::plan(repository, url, tip.commit, &contents, job)?;
    write_files(repository, tip.commit)
        .map_err(|error| Failure::content(url, "write the files of", &error))?;
    attach_head(repository, tip).map_err(|error| Failure::content(url, "finish the work tree of", &error))?;
    Ok(submodules)
}

/// Adds the submodule's name and its responsibility to a failure in `node`, then those of each submodule around it.
fn attribute(mut failure: Failure, mut node: &Node) -> Failure {
    while let Some((path, parent)) = &node.parent {
        failure = submodule::attribute(failure, path, &parent.url, &node.url);
        node = parent;
    }
    failure
}

fn write_files(repository: &Repository, commit: Oid) -> Result<(), git2::Error> {
    let mut options = CheckoutBuilder::new();
    options.force();
    repository.checkout_tree(repository.find_commit(commit)?.as_object(), Some(&mut options))
}

/// Points HEAD to the branch, so that `git status` works. HEAD is detached if no file can have the branch's name.
fn attach_head(repository: &Repository, tip: &Tip) -> Result<(), git2::Error> {
    if let Some(branch) = &tip.branch {
        let name = format!("refs/heads/{branch}");
        if repository.reference(&name, tip.commit, true, "checkout").is_ok() {
            return repository.set_head(&name);
        }
    }
    repository.set_head_detached(tip.commit)
}
