//! Repositories, servers and requests for the tests.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use git2::build::TreeUpdateBuilder;
use git2::{FileMode, ObjectType, Oid, Repository, RepositoryInitOptions, Signature};
use tempfile::TempDir;

use crate::git::url::RepositoryUrl;
use crate::git::{Answer, CheckedOut, Checkout, Environment, Failure, Limits, Request, child_main, perform};

/// An entry of a tree.
pub(super) enum Node<'a> {
    File(&'a str),
    Program(&'a str),
    Link(&'a str),
    Gitlink(Oid),
    Id(Oid),
}

/// A bare repository that the tests fetch from.
pub(super) struct Origin {
    pub(super) repository: Repository,
    pub(super) path: PathBuf,
}

impl Origin {
    pub(super) fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let mut options = RepositoryInitOptions::new();
        options.bare(true).initial_head("main").external_template(false).mkpath(true);
        let repository = Repository::init_opts(&path, &options).unwrap();
        repository.config().unwrap().set_bool("uploadpack.allowReachableSHA1InWant", true).unwrap();
        Self { repository, path }
    }

    pub(super) fn url(&self) -> String {
        format!("file://{}", self.path.display())
    }

    /// Adds a commit on `branch` that changes `nodes`.
    pub(super) fn commit(&self, branch: &str, nodes: &[(&str, Node<'_>)]) -> Oid {
        let repository = &self.repository;
        let parent =
            repository.find_reference(&format!("refs/heads/{branch}")).and_then(|r| r.peel_to_commit()).ok();
        let empty = repository.odb().unwrap().write(ObjectType::Tree, b"").unwrap();
        let base = parent.as_ref().map_or_else(|| repository.find_tree(empty), git2::Commit::tree).unwrap();
        let mut update = TreeUpdateBuilder::new();
        for (path, node) in nodes {
            let blob = |text: &str| repository.blob(text.as_bytes()).unwrap();
            let (oid, mode) = match node {
                Node::File(text) => (blob(text), FileMode::Blob),
                Node::Program(text) => (blob(text), FileMode::BlobExecutable),
                Node::Link(text) => (blob(text), FileMode::Link),
                Node::Gitlink(oid) => (*oid, FileMode::Commit),
                Node::Id(oid) => (*oid, FileMode::Blob),
            };
            update.upsert(*path, oid, mode);
        }
        let tree = update.create_updated(repository, &base).unwrap();
        self.commit_tree(branch, tree, parent.as_ref().map(git2::Commit::id))
    }

    /// Adds a commit of any object as its tree.
    pub(super) fn commit_tree(&self, branch: &str, tree: Oid, parent: Option<Oid>) -> Oid {
        let parent = parent.map(|oid| format!("parent {oid}\n")).unwrap_or_default();
        let by = "A <a@b> 1700000000 +0000";
        let text = format!("tree {tree}\n{parent}author {by}\ncommitter {by}\n\nwork\n");
        let commit = self.repository.odb().unwrap().write(ObjectType::Commit, text.as_bytes()).unwrap();
        self.repository.reference(&format!("refs/heads/{branch}"), commit, true, "").unwrap();
        commit
    }

    /// Writes a tree object from modes, names and ids, without any check.
    pub(super) fn raw_tree(&self, entries: &[(&str, &str, Oid)]) -> Oid {
        let bytes: Vec<u8> = entries
            .iter()
            .flat_map(|(mode, name, oid)| [format!("{mode} {name}\0").as_bytes(), oid.as_bytes()].concat())
            .collect();
        self.repository.odb().unwrap().write(ObjectType::Tree, &bytes).unwrap()
    }

    pub(super) fn tag(&self, name: &str, commit: Oid) {
        let by = Signature::now("A", "a@b").unwrap();
        let object = self.repository.find_object(commit, None).unwrap();
        self.repository.tag(name, &object, &by, "a tag", true).unwrap();
    }
}

/// The folder of one test, isolated from this machine's configuration.
pub(super) struct World {
    pub(super) folder: TempDir,
    pub(super) variables: Vec<(String, OsString)>,
}

impl World {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        fs::create_dir(&home).unwrap();
        let variables = vec![("HOME".into(), home.into()), ("GIT_CONFIG_NOSYSTEM".into(), "1".into())];
        Self { folder, variables }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn origin(&self, name: &str) -> Origin {
        Origin::new(self.path("origins").join(name))
    }

    pub(super) fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.variables.push((name.to_owned(), value.into()));
    }

    pub(super) fn environment(&self) -> Environment {
        self.variables.iter().cloned().collect()
    }

    pub(super) fn work(&self) -> PathBuf {
        self.path("work")
    }

    /// Builds a request to check out `url` into `work`; local repositories are allowed.
    pub(super) fn request(&self, url: &str, branch: &str) -> Checkout {
        Checkout {
            url: RepositoryUrl::parse(url, true).unwrap(),
            branch: Some(branch.to_owned()),
            into: self.work(),
            allow_local: true,
            limits: Limits::default(),
            cache: None,
        }
    }

    pub(super) fn run(&self, request: &Checkout) -> Result<CheckedOut, Failure> {
        match perform(&Request::Checkout(request.clone()), self.environment()) {
            Answer::CheckedOut(done) => Ok(done),
            Answer::Failed(failure) => Err(failure),
            Answer::Mirrored(other) => panic!("not the answer to a checkout: {other:?}"),
        }
    }

    /// Runs a checkout with `child_main` in a separate process with `variables` in its environment.
    pub(super) fn run_in_child(
        &self,
        request: &Checkout,
        variables: &[(&str, &OsStr)],
    ) -> Result<CheckedOut, Failure> {
        let (request_file, answer_file) = (self.path("request.json"), self.path("answer.json"));
        fs::write(&request_file, serde_json::to_vec(&Request::Checkout(request.clone())).unwrap()).unwrap();
        let done = program(std::env::current_exe().unwrap())
            .args(["--exact", "git::tests::support::child", "--ignored"])
            .env_remove("SSH_AUTH_SOCK")
            .env("TEST_REQUEST", &request_file)
            .env("TEST_ANSWER", &answer_file)
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
        match serde_json::from_slice(&fs::read(answer_file).unwrap()).unwrap() {
            Answer::CheckedOut(done) => Ok(done),
            Answer::Failed(failure) => Err(failure),
            Answer::Mirrored(other) => panic!("not the answer to a checkout: {other:?}"),
        }
    }

    pub(super) fn checkout(&self, url: &str, branch: &str) -> Result<CheckedOut, Failure> {
        self.run(&self.request(url, branch))
    }

    pub(super) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.work().join(path)).unwrap()
    }
}

#[test]
#[ignore = "only started by run_in_child"]
fn child() {
    let file = |name| std::env::var_os(name);
    let Some((request, answer)) = file("TEST_REQUEST").zip(file("TEST_ANSWER")) else { return };
    child_main(fs::File::open(request).unwrap(), fs::File::create(answer).unwrap());
}

/// Whether any file below `folder` contains `text`.
pub(super) fn holds(folder: &Path, text: &str) -> bool {
    fs::read_dir(folder).unwrap().flatten().any(|entry| {
        if entry.file_type().unwrap().is_dir() {
            return holds(&entry.path(), text);
        }
        fs::read(entry.path()).is_ok_and(|bytes| memchr::memmem::find(&bytes, text.as_bytes()).is_some())
    })
}

/// A server process that is killed at the end of the test.
pub(super) struct Server {
    child: Child,
    pub(super) port: u16,
    pub(super) log: PathBuf,
}

impl Server {
    pub(super) fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://127.0.0.1:{}/{path}", self.port)
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts `git daemon` for the origins; `None` if git is not installed.
pub(super) fn git_daemon(world: &World) -> Option<Server> {
    let folder = program("git").args(["--exec-path"]).output().ok()?;
    let daemon = PathBuf::from(String::from_utf8_lossy(&folder.stdout).trim()).join("git-daemon");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let child = program(&daemon)
        .args(["--export-all", "--reuseaddr", "--listen=127.0.0.1"])
        .arg(format!("--port={port}"))
        .arg(format!("--base-path={}", world.path("origins").display()))
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .stderr(Stdio::null())
        .spawn();
    let child = present(child, "git daemon")?;
    Some(listening(child, port))
}

fn listening(child: Child, port: u16) -> Server {
    let server = Server { child, port, log: PathBuf::new() };
    let start = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(start.elapsed() < Duration::from_secs(10), "the server takes no connection");
        std::thread::park_timeout(Duration::from_millis(10));
    }
    server
}

/// Starts `server.py` with `git http-backend` for the origins; uses TLS if a certificate and key are given.
pub(super) fn git_http(world: &World, tls: Option<(&Path, &Path)>) -> Option<Server> {
    present(program("git").arg("--version").output(), "git")?;
    let log = world.path(if tls.is_some() { "tls.log" } else { "http.log" });
    let mut command = program("python3");
    command.args(["-c", include_str!("server.py")]).arg(world.path("origins")).arg(&log);
    if let Some((certificate, key)) = tls {
        command.args([certificate, key]);
    }
    let mut child = present(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn(), "python3")?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    Some(Server { child, port: line.trim().parse().expect("server.py prints its port"), log })
}

/// Starts an ssh server that accepts the key `good` and has the host key `host`.
pub(super) fn sshd(world: &World) -> Option<Server> {
    for (name, kind, phrase) in
        [("host", "ed25519", ""), ("good", "rsa", ""), ("stranger", "ecdsa", ""), ("locked", "rsa", "locked")]
    {
        let made =
            program("ssh-keygen").args(["-q", "-t", kind, "-N", phrase, "-f"]).arg(world.path(name)).status();
        assert!(present(made, "ssh-keygen")?.success());
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = format!(
        "HostKey {0}/host\nAuthorizedKeysFile {0}/good.pub\nStrictModes no\nPidFile none\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nUsePAM no\nPermitRootLogin yes\nListenAddress 127.0.0.1:{port}\n",
        world.folder.path().display()
    );
    fs::write(world.path("sshd_config"), config).unwrap();
    // sshd needs this folder if it runs as root; normally its service unit creates it.
    fs::create_dir_all("/run/sshd").ok();
    let path = std::env::var_os("RUNNER_TEST_SSHD").unwrap_or_else(|| "/usr/sbin/sshd".into());
    let child =
        program(path).arg("-D").arg("-f").arg(world.path("sshd_config")).stderr(Stdio::null()).spawn();
    Some(listening(present(child, "sshd")?, port))
}

/// Skips a test visibly if a program is missing, or fails it if RUNNER_TEST_NO_SKIP is 1.
#[expect(clippy::print_stderr, reason = "a skipped test must be visible")]
pub(super) fn present<T>(started: std::io::Result<T>, name: &str) -> Option<T> {
    match started {
        Ok(started) => Some(started),
        Err(e) => {
            let strict = std::env::var_os("RUNNER_TEST_NO_SKIP").is_some_and(|value| value == "1");
            assert!(!strict, "{name} cannot be started: {e}");
            eprintln!("SKIPPED: {name} cannot be started: {e}");
            None
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "tests start real servers, which are killed at their end")]
pub(super) fn program(name: impl AsRef<OsStr>) -> Command {
    Command::new(name)
}
