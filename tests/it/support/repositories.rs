//! Real git repositories, made in a moment.

use std::fs;
use std::path::{Path, PathBuf};

use git2::{IndexAddOption, RepositoryInitOptions, Signature};

/// A repository with a work tree.
pub struct Repository {
    folder: PathBuf,
}

impl Repository {
    /// An empty repository whose branch will be `main`.
    pub fn init(folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        git2::Repository::init_opts(folder, RepositoryInitOptions::new().initial_head("main")).unwrap();
        Self { folder: folder.to_owned() }
    }

    /// A repository that is there.
    pub fn open(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Commits a submodule entry at `path`, as `git submodule add` would, without looking at what is there.
    pub fn submodule(&self, path: &str, url: &str, commit: &str) {
        let modules = format!("[submodule \"{path}\"]\n\tpath = {path}\n\turl = {url}\n");
        self.commit(&[(".gitmodules", &modules)]);
        let repository = git2::Repository::open(&self.folder).unwrap();
        let head = repository.head().unwrap().peel_to_commit().unwrap();
        let mut builder = repository.treebuilder(Some(&head.tree().unwrap())).unwrap();
        builder.insert(path, commit.parse().unwrap(), 0o160_000).unwrap();
        let tree = repository.find_tree(builder.write().unwrap()).unwrap();
        let author = Signature::now("test", "test@example.org").unwrap();
        repository.commit(Some("HEAD"), &author, &author, "submodule", &tree, &[&head]).unwrap();
    }

    /// Writes files and commits everything on the current branch; returns the commit.
    pub fn commit(&self, files: &[(&str, &str)]) -> String {
        for (name, content) in files {
            let path = self.folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let repository = git2::Repository::open(&self.folder).unwrap();
        let mut index = repository.index().unwrap();
        index.add_all(["*"], IndexAddOption::DEFAULT, None).unwrap();
        index.write().unwrap();
        let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
        let author = Signature::now("test", "test@example.org").unwrap();
        let parent = repository.head().ok().map(|head| head.peel_to_commit().unwrap());
        let parents: Vec<_> = parent.iter().collect();
        repository.commit(Some("HEAD"), &author, &author, "test", &tree, &parents).unwrap().to_string()
    }

    /// Points HEAD at another branch, which begins where this one is.
    pub fn branch(&self, name: &str) {
        let repository = git2::Repository::open(&self.folder).unwrap();
        let head = repository.head().unwrap().peel_to_commit().unwrap();
        repository.branch(name, &head, true).unwrap();
        repository.set_head(&format!("refs/heads/{name}")).unwrap();
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("file://{}", self.folder.display())
    }
}

/// A student's repository whose tests are the shell script `run.sh`. See [`scripted_suite`].
pub fn student(folder: &Path, script: &str) -> Repository {
    let repository = Repository::init(folder);
    repository.commit(&[("run.sh", script)]);
    repository
}

/// A suite without requirements: it runs the student's `run.sh` in the checkout, with `REPORT` naming the report's
/// file and `ARGUMENTS` holding its own command line, and exits as the script does. Returns its URL.
pub fn scripted_suite(folder: &Path) -> String {
    let repository = Repository::init(folder);
    repository.commit(&[("run_tests.py", SUITE), ("helper.txt", "a file of the suite\n")]);
    repository.url()
}

const SUITE: &str = r#"
import argparse, json, os, subprocess, sys

parser = argparse.ArgumentParser()
parser.add_argument("--src", required=True)
parser.add_argument("--junit-xml", required=True)
parser.add_argument("-k")
parser.add_argument("--lab-num", nargs="*")
parser.add_argument("--proxy_timeout")
known = parser.parse_args()

def one(name="test_one", inner=""):
    return f'<testsuite time="0.25"><testcase classname="tests.sample" name="{name}" time="0.125">{inner}</testcase></testsuite>'

environment = dict(
    os.environ,
    REPORT=known.junit_xml,
    ARGUMENTS=json.dumps(sys.argv[1:]),
    PASS=one(),
    FAIL=one(inner='<failure message="boom">E   assert 1 == 2</failure>'),
)
sys.exit(subprocess.run(["sh", "run.sh"], cwd=known.src, env=environment).returncode)
"#;
