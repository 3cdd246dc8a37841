//! How large a work tree would be, found without inflating a single file, and whether it is safe to write.
//!
//! Every name that is visited counts, however often the same tree is met: a bomb of repeated trees stops at the limit.

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use git2::{Odb, Oid, Repository};

use super::Budget;
use super::error::{Failure, Kind, quoted, size};
use crate::git::url::RepositoryUrl;

const MODE: i32 = 0o170_000;
const TREE: i32 = 0o040_000;
const GITLINK: i32 = 0o160_000;
const SYMLINK: i32 = 0o120_000;

/// Bytes of one tree object, of one path and of one name; more than any filesystem takes.
const TREE_BYTES: usize = 64 << 20;
const PATH_BYTES: usize = 3000;
const NAME_BYTES: usize = 255;
const LINK_BYTES: usize = 4096;

/// What the walk found besides the size.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Submodules: where, and at which commit.
    pub(super) gitlinks: Vec<(PathBuf, Oid)>,
    /// The file `.gitmodules` at the top.
    pub(super) gitmodules: Option<Oid>,
}

struct Walk<'a> {
    url: &'a RepositoryUrl,
    repository: &'a Repository,
    odb: Odb<'a>,
    budget: &'a Budget,
    found: Contents,
    /// Trees that are still to be visited.
    open: Vec<(PathBuf, Oid)>,
}

/// Counts the tree of `commit` into `budget`.
pub(super) fn tree(
    repository: &Repository,
    url: &RepositoryUrl,
    commit: Oid,
    budget: &Budget,
) -> Result<Contents, Failure> {
    let failed = |e: git2::Error| Failure::content(url, "read the commit of", &e);
    let root = repository.find_commit(commit).map_err(failed)?.tree_id();
    let odb = repository.odb().map_err(failed)?;
    let open = vec![(PathBuf::new(), root)];
    let mut walk = Walk { url, repository, odb, budget, found: Contents::default(), open };
    while let Some((path, oid)) = walk.open.pop() {
        walk.visit(&path, oid)?;
    }
    Ok(walk.found)
}

impl Walk<'_> {
    fn visit(&mut self, folder: &Path, oid: Oid) -> Result<(), Failure> {
        let url = self.url;
        let failed = |e: git2::Error| Failure::content(url, "read a folder of", &e);
        let (bytes, _) = self.odb.read_header(oid).map_err(failed)?;
        if bytes > TREE_BYTES {
            let most = size(TREE_BYTES as u64);
            return Err(Failure::new(
                Kind::TooLarge,
                format!("a folder of {url} has a listing of more than {most}"),
            ));
        }
        let repository = self.repository;
        let tree = repository.find_tree(oid).map_err(failed)?;
        let mut names = HashSet::with_capacity(tree.len());
        for entry in &tree {
            self.budget.count_file(url)?;
            let name = entry.name_bytes();
            let path = folder.join(std::ffi::OsStr::from_bytes(name));
            if let Some(why) = unsafe_name(name, &path) {
                let path = quoted(&path.to_string_lossy());
                return Err(Failure::new(Kind::Damaged, format!("{url} cannot be written: {path} {why}")));
            }
            // One name for a link and for a folder: what is put into the folder would go through the link.
            if !names.insert(name.to_vec()) {
                let path = quoted(&path.to_string_lossy());
                return Err(Failure::new(
                    Kind::Damaged,
                    format!("{url} cannot be written: {path} is there twice"),
                ));
            }
            self.entry(path, entry.filemode_raw() & MODE, entry.id())?;
        }
        Ok(())
    }

    fn entry(&mut self, path: PathBuf, mode: i32, oid: Oid) -> Result<(), Failure> {
        match mode {
            TREE => self.open.push((path, oid)),
            GITLINK => self.found.gitlinks.push((path, oid)),
            _ => {
                let failed = |e: git2::Error| Failure::content(self.url, "read a file of", &e);
                let (bytes, _) = self.odb.read_header(oid).map_err(failed)?;
                self.budget.count_bytes(bytes as u64, self.url)?;
                // The system takes neither, and that would look like a fault of this machine.
                if mode == SYMLINK && !(1..LINK_BYTES).contains(&bytes) {
                    let (url, path) = (self.url, quoted(&path.to_string_lossy()));
                    let message = format!("{url} cannot be written: {path} is a link to no path");
                    return Err(Failure::new(Kind::Damaged, message));
                }
                if mode != SYMLINK && path == Path::new(".gitmodules") {
                    self.found.gitmodules = Some(oid);
                }
            }
        }
        Ok(())
    }
}

fn unsafe_name(name: &[u8], path: &Path) -> Option<&'static str> {
    if name.is_empty()
        || name == b"."
        || name == b".."
        || name.contains(&b'/')
        || name.eq_ignore_ascii_case(b".git")
    {
        Some("is no name for a file")
    } else if name.len() > NAME_BYTES || path.as_os_str().len() > PATH_BYTES {
        Some("is too long a name")
    } else {
        None
    }
}
