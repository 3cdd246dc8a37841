//! Submodules: checks a possibly hostile `.gitmodules` before anything uses it.
//!
//! As in git, a relative URL inherits the login of the task's URL; an absolute URL does not.

use std::io::Write as _;
use std::path::{Component, Path, PathBuf};

use git2::{Config, ObjectType, Oid, Repository};

use super::error::{Failure, Kind, quoted};
use super::job::Job;
use super::measure::Contents;
use super::url::RepositoryUrl;

/// Maximum size of `.gitmodules` in bytes; a hundred submodules take about ten thousand.
const MAX_GITMODULES_BYTES: usize = 1 << 20;

/// A submodule to check out.
#[derive(Debug)]
pub(super) struct Submodule {
    /// Relative to the work tree that contains it.
    pub(super) path: PathBuf,
    pub(super) commit: Oid,
    pub(super) url: RepositoryUrl,
}

impl Submodule {
    /// Creates its folder in the work tree at `top`, unless the checkout did.
    pub(super) fn create_folder(&self, top: &Path) -> Result<PathBuf, Failure> {
        empty_folder(top, &self.path)
            .map_err(|error| Failure::io(&format!("cannot make the folder of {}", quote(&self.path)), &error))
    }
}

/// One section of `.gitmodules`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Section {
    name: String,
    path: Option<String>,
    url: Option<String>,
}

/// Lists the submodules of a commit: each gitlink with a URL in `.gitmodules`, after all checks.
pub(super) fn plan(
    repository: &Repository,
    url: &RepositoryUrl,
    commit: Oid,
    contents: &Contents,
    job: &Job,
) -> Result<Vec<Submodule>, Failure> {
    let Some(gitmodules) = contents.gitmodules else { return Ok(Vec::new()) };
    let sections = read(repository, url, gitmodules)?;
    for section in &sections {
        check_path(repository, url, commit, section)?;
    }
    let mut plan = Vec::new();
    for (path, commit) in &contents.gitlinks {
        let of_path = |section: &&Section| section.path.as_deref().is_some_and(|p| Path::new(p) == path);
        // Like git, leaves an empty folder for a gitlink without an entry.
        let Some(section) = sections.iter().find(of_path) else { continue };
        let bad = |why: &str| bad(&section.name, url, why);
        let text =
            section.url.as_deref().filter(|text| !text.is_empty()).ok_or_else(|| bad("it has no URL"))?;
        let url = url.join(text, job.allow_local).map_err(|why| bad(&why))?;
        plan.push(Submodule { path: path.clone(), commit: *commit, url });
    }
    Ok(plan)
}

/// Adds the submodule's path to a failure in it. A failure of another host than the parent's becomes
/// [`Kind::BadSubmodule`], because the author of `.gitmodules` chose that host.
pub(super) fn attribute(
    failure: Failure,
    path: &Path,
    parent: &RepositoryUrl,
    url: &RepositoryUrl,
) -> Failure {
    let kind = match failure.kind {
        kind @ (Kind::TooLarge | Kind::Disk | Kind::Other | Kind::BadSubmodule) => kind,
        kind @ (Kind::Network | Kind::Certificate | Kind::HostKey) if url.same_host(parent) => kind,
        _ => Kind::BadSubmodule,
    };
    // Only the innermost submodule is named.
    if failure.message.starts_with("submodule '") {
        return Failure { kind, ..failure };
    }
    Failure::new(kind, format!("submodule {} of {parent}: {}", quote(path), failure.message))
}

fn bad(name: &str, url: &RepositoryUrl, why: &str) -> Failure {
    Failure::new(Kind::BadSubmodule, format!("submodule {} of {url}: {why}", quoted(name)))
}

fn quote(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// Returns the empty folder at `path` below `top`; creates missing folders. No component may be a link.
fn empty_folder(top: &Path, path: &Path) -> std::io::Result<PathBuf> {
    let mut folder = top.to_owned();
    for part in path.components() {
        folder.push(part);
        match std::fs::symlink_metadata(&folder) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err(std::io::Error::other("a file or link is in its path")),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => std::fs::create_dir(&folder)?,
            Err(e) => return Err(e),
        }
    }
    match std::fs::read_dir(&folder)?.next() {
        None => Ok(folder),
        Some(_) => Err(std::io::Error::other("it is not empty")),
    }
}

/// Checks that the path of a section stays within the tree and goes through no link.
fn check_path(
    repository: &Repository,
    url: &RepositoryUrl,
    commit: Oid,
    section: &Section,
) -> Result<(), Failure> {
    let Some(text) = &section.path else { return Ok(()) };
    let path = Path::new(text);
    let is_plain = |part: Component<'_>| match part {
        Component::Normal(name) => !name.eq_ignore_ascii_case(".git"),
        _ => false,
    };
    if text.is_empty() || !path.components().all(is_plain) {
        return Err(bad(&section.name, url, "its path leads out of the work tree"));
    }
    let failed = |e: git2::Error| Failure::content(url, "read the commit of", &e);
    let tree = repository.find_commit(commit).and_then(|commit| commit.tree()).map_err(failed)?;
    let links = |part: &Path| tree.get_path(part).is_ok_and(|entry| entry.filemode() == 0o120_000);
    if path.ancestors().filter(|part| !part.as_os_str().is_empty()).any(links) {
        return Err(bad(&section.name, url, "its path leads through a symbolic link"));
    }
    Ok(())
}

/// Reads the sections of the blob `gitmodules`.
fn read(repository: &Repository, url: &RepositoryUrl, gitmodules: Oid) -> Result<Vec<Section>, Failure> {
    let damaged = |why: &str| Failure::new(Kind::BadSubmodule, format!("the .gitmodules of {url} {why}"));
    let failed = |e: git2::Error| damaged(&format!("cannot be read: {}", e.message()));
    let (bytes, kind) = repository.odb().and_then(|odb| odb.read_header(gitmodules)).map_err(failed)?;
    if kind != ObjectType::Blob || bytes > MAX_GITMODULES_BYTES {
        return Err(damaged("is too large"));
    }
    let blob = repository.find_blob(gitmodules).map_err(failed)?;
    // libgit2 would follow an include to any file of this machine; git does not.
    let compact: Vec<u8> =
        blob.content().iter().filter(|b| !b.is_ascii_whitespace()).map(u8::to_ascii_lowercase).collect();
    if compact.windows(8).any(|window| window == b"[include") {
        return Err(damaged("includes other files"));
    }
    parse(blob.content()).map_err(failed)
}

/// Parses the sections with libgit2's parser, so that this check and libgit2 agree on every file.
fn parse(text: &[u8]) -> Result<Vec<Section>, git2::Error> {
    let io = |e: std::io::Error| git2::Error::from_str(&e.to_string());
    let mut file = tempfile::NamedTempFile::new().map_err(io)?;
    file.write_all(text).map_err(io)?;
    let config = Config::open(file.path())?;
    let mut sections: Vec<Section> = Vec::new();
    config.entries(Some(r"^submodule\..*\.(path|url)$"))?.for_each(|entry| {
        let (Ok(key), Ok(value)) = (entry.name(), entry.value()) else { return };
        let Some((name, field)) = key.strip_prefix("submodule.").and_then(|rest| rest.rsplit_once('.'))
        else {
            return;
        };
        let at = sections.iter().position(|section| section.name == name).unwrap_or_else(|| {
            sections.push(Section { name: name.to_owned(), ..Section::default() });
            sections.len() - 1
        });
        let slot = if field == "path" { &mut sections[at].path } else { &mut sections[at].url };
        *slot = Some(value.to_owned());
    })?;
    Ok(sections)
}
