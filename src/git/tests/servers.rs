//! All transports with real servers: shallow fetches, logins, redirects, certificates.

use std::ffi::OsString;
use std::fs;
use std::net::TcpListener;
use std::path::Path;

use super::support::{Node, World, git_daemon, git_http, holds, present, program, sshd};
use crate::git::{CERTIFICATES, Checkout, Kind, Limits};

fn commits(world: &World) -> usize {
    let repository = git2::Repository::open(world.work()).unwrap();
    let mut walk = repository.revwalk().unwrap();
    walk.push_head().unwrap();
    walk.count()
}

/// Creates an origin with `length` commits.
fn history(world: &World, name: &str, length: usize) {
    let origin = world.origin(name);
    for n in 0..length {
        origin.commit("main", &[("a", Node::File(&n.to_string()))]);
    }
}

#[test]
fn fetches_one_commit_from_git_daemon() {
    let world = World::new();
    history(&world, "a.git", 5);
    world.origin("empty.git");
    let Some(server) = git_daemon(&world) else { return };
    world.checkout(&server.url("git", "a.git"), "main").unwrap();
    assert_eq!((world.read("a").as_str(), commits(&world)), ("4", 1));
    for (path, branch, kind) in [
        ("none.git", "main", Kind::MissingRepository),
        ("a.git", "none", Kind::MissingBranch),
        ("empty.git", "main", Kind::EmptyRepository),
    ] {
        let mut request = world.request(&server.url("git", path), branch);
        request.into = world.path(&format!("{path}{branch}"));
        let failure = world.run(&request).unwrap_err();
        assert_eq!(failure.kind, kind, "{failure}");
    }
}

#[test]
fn skips_branches_in_other_encodings() {
    let world = World::new();
    history(&world, "a.git", 1);
    let commit = fs::read_to_string(world.path("origins/a.git/refs/heads/main")).unwrap();
    let mut packed = b"# pack-refs with: peeled fully-peeled sorted \n".to_vec();
    packed.extend_from_slice(commit.trim().as_bytes());
    packed.extend_from_slice(b" refs/heads/\xe2\xe5\xf2\xea\xe0\n");
    fs::write(world.path("origins/a.git/packed-refs"), packed).unwrap();
    let Some(server) = git_daemon(&world) else { return };
    world.checkout(&server.url("git", "a.git"), "main").unwrap();
    let mut request = world.request(&server.url("git", "a.git"), "none");
    request.into = world.path("second");
    assert!(world.run(&request).unwrap_err().message.ends_with("(it has 'main')"));
}

#[test]
fn fetches_submodules_by_commit() {
    let world = World::new();
    let lib = world.origin("lib.git");
    let wanted = lib.commit("main", &[("b", Node::File("old"))]);
    lib.commit("main", &[("b", Node::File("new"))]);
    let top = world.origin("top.git");
    let modules = "[submodule \"lib\"]\n\tpath = lib\n\turl = ../lib.git\n";
    top.commit("main", &[("lib", Node::Gitlink(wanted)), (".gitmodules", Node::File(modules))]);
    let Some(server) = git_daemon(&world) else { return };
    for (n, allowed) in [true, false].into_iter().enumerate() {
        lib.repository.config().unwrap().set_bool("uploadpack.allowReachableSHA1InWant", allowed).unwrap();
        let mut request = world.request(&server.url("git", "top.git"), "main");
        request.into = world.path(&format!("work{n}"));
        assert_eq!(world.run(&request).unwrap().submodules, 1, "allowed: {allowed}");
        assert_eq!(fs::read_to_string(request.into.join("lib/b")).unwrap(), "old");
    }
}

#[test]
fn http_uses_url_login_without_trace() {
    let world = World::new();
    history(&world, "a.git", 3);
    let Some(server) = git_http(&world, None) else { return };
    world.checkout(&server.url("http", "a.git"), "main").unwrap();
    assert_eq!(commits(&world), 1);
    assert_eq!(
        server.log().lines().count(),
        3,
        "one request each for references, depth and pack: {}",
        server.log()
    );

    let open = format!("127.0.0.1:{}/private/a.git", server.port);
    for (login, part) in [
        ("", "requires a login: it does not exist or is private"),
        ("user:hunter3@", "refused the login for http://user:***@127.0.0.1"),
        ("TOKEN@", "refused the login"),
    ] {
        let before = server.log().lines().count();
        let mut request = world.request(&format!("http://{login}{open}"), "main");
        request.into = world.path(&format!("refused{login}"));
        let failure = world.run(&request).unwrap_err();
        assert_eq!(failure.kind, Kind::LoginRefused, "{failure}");
        assert!(failure.message.contains(part), "{failure}");
        assert!(!failure.message.contains("hunter3") && !failure.message.contains("TOKEN"), "{failure}");
        assert!(server.log().lines().count() - before <= 2, "each login is tried once: {}", server.log());
    }
    let mut request = world.request(&format!("http://user:hunter2@{open}"), "main");
    request.into = world.path("private");
    world.run(&request).unwrap();
    assert_eq!(fs::read_to_string(request.into.join("a")).unwrap(), "2");
    assert!(!holds(&request.into, "hunter2") && !holds(&request.into, "user:"));
}

#[test]
fn http_status_determines_kind() {
    let world = World::new();
    history(&world, "a.git", 1);
    world.origin("empty.git");
    let Some(server) = git_http(&world, None) else { return };
    for (path, kind) in [
        ("none.git", Kind::MissingRepository),
        ("empty.git", Kind::EmptyRepository),
        ("broken/a.git", Kind::Network),
        ("away/a.git", Kind::Network),
    ] {
        let mut request = world.request(&server.url("http", path), "main");
        request.into = world.path(&path.replace('/', "-"));
        let failure = world.run(&request).unwrap_err();
        assert_eq!(failure.kind, kind, "{failure}");
        assert_eq!(fs::read_dir(&request.into).unwrap().count(), 1);
    }
    world.checkout(&server.url("http", "moved/a.git"), "main").unwrap();
    assert_eq!(world.read("a"), "0", "a renamed repository is followed");
}

#[test]
fn login_does_not_follow_foreign_redirect() {
    let world = World::new();
    history(&world, "a.git", 1);
    let (Some(trap), Some(server)) = (git_http(&world, None), {
        let other = World::new();
        git_http(&other, None).map(|server| (server, other))
    }) else {
        return;
    };
    let (server, _other) = server;
    for way in ["asking", "silent"] {
        let (near, far) = (server.port, trap.port);
        let url = format!("http://user:hunter2@127.0.0.1:{near}/elsewhere/{way}/{far}/private/a.git");
        let mut request = world.request(&url, "main");
        request.into = world.path(way);
        let result = world.run(&request);
        assert!(trap.log().contains("/private/a.git"), "it was followed: {}", trap.log());
        assert!(!trap.log().contains("hunter2"), "{}", trap.log());
        assert_eq!(result.unwrap_err().kind, Kind::LoginRefused, "{way}");
    }
}

#[test]
fn bounds_bytes_while_receiving() {
    let world = World::new();
    let origin = world.origin("a.git");
    let noise: String = (0..400_000).map(|_| fastrand::alphanumeric()).collect();
    origin.commit("main", &[("noise", Node::File(&noise))]);
    let Some(server) = git_http(&world, None) else { return };
    let mut request = world.request(&server.url("http", "a.git"), "main");
    request.limits = Limits { bytes: 100 << 10, ..Limits::default() };
    let failure = world.run(&request).unwrap_err();
    assert_eq!(failure.kind, Kind::TooLarge);
    assert!(failure.message.contains("sends more than 100 KiB, the limit of this runner"), "{failure}");
}

#[test]
fn unreachable_server_is_network_failure() {
    let world = World::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (n, scheme) in ["http", "https", "git", "ssh"].iter().enumerate() {
        let mut request = world.request(&format!("{scheme}://127.0.0.1:{port}/a"), "main");
        request.into = world.path(&n.to_string());
        let failure = world.run(&request).unwrap_err();
        assert_eq!(failure.kind, Kind::Network, "{failure}");
    }
}

#[test]
fn checks_certificates() {
    let world = World::new();
    history(&world, "a.git", 1);
    let (key, certificate) = (world.path("key.pem"), world.path("certificate.pem"));
    let made = program("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output();
    let Some(made) = present(made, "openssl") else { return };
    assert!(made.status.success(), "{made:?}");
    let Some(server) = git_http(&world, Some((&certificate, &key))) else { return };
    let url = server.url("https", "a.git");
    let failure = world.checkout(&url, "main").unwrap_err();
    assert_eq!(failure.kind, Kind::Certificate, "{failure}");
    let parts = ["is not trusted here", "SSL_CERT_FILE"];
    assert!(parts.iter().all(|part| failure.message.contains(part)), "{failure}");

    // OpenSSL reads the environment of its process, so the child is a separate process.
    let mut request = world.request(&url, "main");
    request.into = world.path("trusted");
    world.run_in_child(&request, &[("SSL_CERT_FILE", certificate.as_os_str())]).unwrap();
    assert_eq!(fs::read_to_string(request.into.join("a")).unwrap(), "0");

    // As the runner passes it: read only before a connection with TLS.
    let handed_on = |file: &Path| {
        let file = file.as_os_str().to_owned();
        let none = |name| (name, OsString::new());
        [("SSL_CERT_FILE", OsString::from("/dev/null")), none("SSL_CERT_DIR"), (CERTIFICATES, file)]
    };
    let run = |request: &Checkout, variables: &[(&str, OsString)]| {
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_os_str())).collect();
        world.run_in_child(request, &variables)
    };
    request.into = world.path("handed-on");
    run(&request, &handed_on(&certificate)).unwrap();
    request.into = world.path("handed-on-in-vain");
    let failure = run(&request, &handed_on(&world.path("nothing.pem"))).unwrap_err();
    assert!(failure.message.contains("cannot read the certificates in SSL_CERT_FILE"), "{failure}");
    let mut local = world.request(&format!("file://{}", world.path("origins/a.git").display()), "main");
    local.into = world.path("without-tls");
    run(&local, &handed_on(&world.path("nothing.pem"))).unwrap();

    // Single certificates from a folder, as the runner configures it if the system has one.
    let hash =
        program("openssl").args(["x509", "-hash", "-noout", "-in"]).arg(&certificate).output().unwrap();
    let name = format!("{}.0", String::from_utf8(hash.stdout).unwrap().trim());
    fs::create_dir(world.path("authorities")).unwrap();
    let folder = world.path("authorities");
    let variables =
        [("SSL_CERT_DIR", folder.as_os_str()), ("SSL_CERT_FILE", std::ffi::OsStr::new("/dev/null"))];
    request.into = world.path("by-folder");
    assert_eq!(world.run_in_child(&request, &variables).unwrap_err().kind, Kind::Certificate);
    fs::copy(&certificate, folder.join(name)).unwrap();
    request.into = world.path("by-folder-again");
    world.run_in_child(&request, &variables).unwrap();
}

#[test]
fn ssh_needs_known_host_and_usable_key() {
    let world = World::new();
    history(&world, "a.git", 2);
    let Some(server) = sshd(&world) else { return };
    let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
    let url = format!("ssh://{user}@127.0.0.1:{}{}", server.port, world.path("origins/a.git").display());
    let run = |name: &str, url: &str| {
        let mut request = world.request(url, "main");
        request.into = world.path(&format!("work-{name}"));
        world.run_in_child(&request, &[("HOME", world.path("home").as_os_str())])
    };
    let ssh = world.path("home/.ssh");
    fs::create_dir_all(&ssh).unwrap();
    let unknown = run("unknown", &url).unwrap_err();
    assert_eq!(unknown.kind, Kind::HostKey, "{unknown}");
    assert!(
        unknown.message.contains("known_hosts") && unknown.message.contains("ssh-keyscan -p"),
        "{unknown}"
    );

    let host = fs::read_to_string(world.path("host.pub")).unwrap();
    fs::write(ssh.join("known_hosts"), format!("[127.0.0.1]:{} {host}", server.port)).unwrap();
    let refused = run("keyless", &url).unwrap_err();
    assert_eq!(refused.kind, Kind::LoginRefused, "{refused}");
    assert!(refused.message.contains("requires a login"), "{refused}");

    fs::copy(world.path("locked"), ssh.join("id_rsa")).unwrap();
    assert_eq!(run("locked", &url).unwrap_err().kind, Kind::LoginRefused);
    fs::copy(world.path("stranger"), ssh.join("id_ecdsa")).unwrap();
    let refused = run("stranger", &url).unwrap_err();
    assert_eq!(refused.kind, Kind::LoginRefused, "{refused}");
    assert!(refused.message.contains("refused the login"), "{refused}");

    fs::copy(world.path("good"), ssh.join("id_rsa")).unwrap();
    assert_eq!(run("good", &url).unwrap().branch.as_deref(), Some("main"));
    assert_eq!(run("missing", &url.replace("a.git", "none.git")).unwrap_err().kind, Kind::MissingRepository);
}
