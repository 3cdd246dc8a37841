//! Exports the tree of one commit of the suite's mirror into a folder that is never written again.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use git2::{Oid, Repository};

use super::error::Failure;
use super::fetch::Tip;
use super::job::Job;
use super::protocol::Mirror;
use super::unfinished;
use super::work_tree;

/// Returns the exported tree of `commit`, and whether this call exported it.
pub(super) fn export_once(
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

/// Writes the tree of `commit`, with its submodules and without `.git`, under a temporary name, and renames it.
fn export(mirror: &Repository, request: &Mirror, commit: Oid, tree: &Path, job: &Job) -> Result<(), Failure> {
    let path = unfinished::path(tree);
    let _ = fs::remove_dir_all(&path);
    let repository = job.configuration.init(&path, false)?;
    let objects = mirror.path().join("objects");
    let failed = |e: git2::Error| Failure::content(&request.url, "export the tree of", &e);
    repository.odb().and_then(|odb| odb.add_disk_alternate(&objects.to_string_lossy())).map_err(failed)?;
    work_tree::write(&repository, &request.url, &Tip { commit, branch: None }, job)?;
    drop(repository);
    let failed = |e: std::io::Error| Failure::io("cannot rename the suite's tree", &e);
    strip_git(&path).map_err(failed)?;
    // Otherwise a power cut could leave the final name with empty files.
    let folder = File::open(&path).map_err(failed)?;
    nix::unistd::syncfs(&folder).map_err(|e| failed(e.into()))?;
    fs::rename(&path, tree).map_err(failed)
}

/// Removes all `.git` folders of a tree; the checkout refuses files of the repository with this name.
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
