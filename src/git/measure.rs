//! Measures a work tree before it is written, without inflating any file, and checks that its names are safe.
//!
//! Each visited name counts, even if the same tree object occurs many times: a bomb of repeated trees reaches the limit.

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use git2::{Odb, Oid, Repository};

use super::error::{Failure, Kind, quoted, size};
use super::job::Budget;
use super::url::RepositoryUrl;

/// The bits of an entry's mode that are its type, and the types.
const MODE: i32 = 0o170_000;
const TREE: i32 = 0o040_000;
const GITLINK: i32 = 0o160_000;
const SYMLINK: i32 = 0o120_000;

/// Maximum size of one tree object in bytes.
const MAX_TREE_BYTES: usize = 64 << 20;
/// Maximum length of a path in bytes; the work tree's own path adds to it.
const MAX_PATH_BYTES: usize = 3000;
/// Maximum length of a name in bytes, as in Linux file systems.
const MAX_NAME_BYTES: usize = 255;
/// Targets of symbolic links are shorter than this, as in Linux.
const MAX_LINK_BYTES: usize = 4096;

/// Submodules found in a tree.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Paths and commits of all gitlinks.
    pub(super) gitlinks: Vec<(PathBuf, Oid)>,
    /// The blob of the file `.gitmodules` at the top.
    pub(super) gitmodules: Option<Oid>,
}

struct Walk<'a> {
    url: &'a RepositoryUrl,
    repository: &'a Repository,
    odb: Odb<'a>,
    budget: &'a Budget,
    found: Contents,
    /// Trees to visit.
    pending: Vec<(PathBuf, Oid)>,
}

/// Counts the files and bytes of the tree of `commit` into `budget`, and checks all its names.
pub(super) fn tree(
    repository: &Repository,
    url: &RepositoryUrl,
    commit: Oid,
    budget: &Budget,
) -> Result<Contents, Failure> {
    let failed = |e: git2::Error| Failure::content(url, "read the commit of", &e);
    let root = repository.find_commit(commit).map_err(failed)?.tree_id();
    let odb = repository.odb().map_err(failed)?;
    let pending = vec![(PathBuf::new(), root)];
    let mut walk = Walk { url, repository, odb, budget, found: Contents::default(), pending };
    while let Some((path, oid)) = walk.pending.pop() {
        walk.visit(&path, oid)?;
    }
    Ok(walk.found)
}

impl Walk<'_> {
    /// Counts the entries of one tree.
    fn visit(&mut self, folder: &Path, oid: Oid) -> Result<(), Failure> {
        let url = self.url;
        let failed = |e: git2::Error| Failure::content(url, "read a folder of", &e);
        let (bytes, _) = self.odb.read_header(oid).map_err(failed)?;
        if bytes > MAX_TREE_BYTES {
            let max = size(MAX_TREE_BYTES as u64);
            return Err(Failure::new(
                Kind::TooLarge,
                format!("a folder of {url} has a listing of more than {max}"),
            ));
        }
        let repository = self.repository;
        let tree = repository.find_tree(oid).map_err(failed)?;
        let mut names = HashSet::with_capacity(tree.len());
        for entry in &tree {
            self.budget.count_file(url)?;
            let name = entry.name_bytes();
            let path = folder.join(std::ffi::OsStr::from_bytes(name));
            if let Some(problem) = unsafe_name(name, &path) {
                let path = quoted(&path.to_string_lossy());
                return Err(Failure::new(
                    Kind::Damaged,
                    format!("{url} cannot be written: {path} {problem}"),
                ));
            }
            // If a link and a folder had one name, files of the folder would be written through the link.
            if !names.insert(name.to_vec()) {
                let path = quoted(&path.to_string_lossy());
                return Err(Failure::new(
                    Kind::Damaged,
                    format!("{url} cannot be written: {path} occurs twice"),
                ));
            }
            self.entry(path, entry.filemode_raw() & MODE, entry.id())?;
        }
        Ok(())
    }

    /// Counts one entry of a tree.
    fn entry(&mut self, path: PathBuf, mode: i32, oid: Oid) -> Result<(), Failure> {
        match mode {
            TREE => self.pending.push((path, oid)),
            GITLINK => self.found.gitlinks.push((path, oid)),
            _ => {
                let failed = |e: git2::Error| Failure::content(self.url, "read a file of", &e);
                let (bytes, _) = self.odb.read_header(oid).map_err(failed)?;
                self.budget.count_bytes(bytes as u64, self.url)?;
                // Linux refuses both, which would look like a fault of this machine.
                if mode == SYMLINK && !(1..MAX_LINK_BYTES).contains(&bytes) {
                    let (url, path) = (self.url, quoted(&path.to_string_lossy()));
                    let message =
                        format!("{url} cannot be written: {path} is a link with an empty or too long target");
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

/// Says why a name must not be written; `None`: it is safe.
fn unsafe_name(name: &[u8], path: &Path) -> Option<&'static str> {
    if name.is_empty()
        || name == b"."
        || name == b".."
        || name.contains(&b'/')
        || name.eq_ignore_ascii_case(b".git")
    {
        Some("is not a valid file name")
    } else if name.len() > MAX_NAME_BYTES || path.as_os_str().len() > MAX_PATH_BYTES {
        Some("has a name that is too long")
    } else {
        None
    }
}
