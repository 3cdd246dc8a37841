use super::{RepositoryUrl, Transport};

fn url(text: &str) -> RepositoryUrl {
    RepositoryUrl::parse(text, true).unwrap()
}

#[test]
fn accepts_transports_that_start_no_program() {
    for (text, transport) in [
        ("https://github.com/os-nsu/tests.git", Transport::Https),
        ("HTTP://host:8080/a/b", Transport::Http),
        ("ssh://git@host:2222/~/a", Transport::Ssh),
        ("git@github.com:os-nsu/tests.git", Transport::Ssh),
        ("git://[::1]:9418/a", Transport::Git),
        ("file:///srv/a.git", Transport::Local),
        ("/srv/a.git", Transport::Local),
        ("https://user:p@ss@host/a", Transport::Https),
    ] {
        let url = url(text);
        assert_eq!(url.transport(), transport, "{text}");
        assert_eq!(url.expose().to_ascii_lowercase(), text.to_ascii_lowercase());
    }
}

#[test]
fn rejects_other_urls_in_one_sentence() {
    for (text, part) in [
        ("", "there is no URL"),
        ("ext::sh -c touch", "white space"),
        ("ext::sh", "ext:: is not a supported"),
        ("fd::17", "fd:: is not a supported"),
        ("ftp://host/a", "ftp:// is not a supported"),
        ("https://", "no host"),
        ("https:///a", "no host"),
        ("https://user@/a", "no host"),
        ("https://host", "no repository"),
        ("https://host/", "no repository"),
        ("https://host?a", "no repository"),
        ("https://-oProxyCommand=x/a", "not a host name"),
        ("ssh://-oProxyCommand=x/a", "not a host name"),
        ("git@-oProxyCommand=x:a", "not a host name"),
        ("ssh://-x/a", "not a host name"),
        ("git@host:-x", "no repository"),
        ("-x@host:a", "not a user name"),
        ("https://host:99999/a", "not a port"),
        ("https://host:0/a", "not a port"),
        ("https://ho%73t/a", "not a host name"),
        ("https://host\\@evil/a", "not a host name"),
        ("git://host/a%0abc", "control characters"),
        ("https://host/a\n", "control characters"),
        ("https://host/a b", "white space"),
        ("github.com/os-nsu/tests", "not the URL of a repository"),
        ("host:path", "not the URL of a repository"),
        ("file://host/a", "absolute path"),
    ] {
        let error = RepositoryUrl::parse(text, true).unwrap_err();
        assert!(error.starts_with("repositoryUrl: ") && error.contains(part), "{text}: {error}");
    }
    for text in ["file:///srv/a", "/srv/a", "../a", "./a"] {
        assert_eq!(
            RepositoryUrl::parse(text, false).unwrap_err(),
            "repositoryUrl: file:// repositories are not allowed here \
             (start the runner with --allow-local-repositories to take them)"
        );
    }
}

#[test]
fn errors_show_no_password() {
    for text in ["https://u:hunter2@", "ftp://u:hunter2@h/a", "https://u:hunter2@h", "x:hunter2@host::y"] {
        let error = RepositoryUrl::parse(text, true).unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn shows_masked_and_exposes_whole_url() {
    for (text, shown, bare) in [
        ("https://user:hunter2@host/a", "https://user:***@host/a", "https://host/a"),
        ("https://TOKEN@host/a", "https://***@host/a", "https://host/a"),
        ("https://TOKEN:x-oauth-basic@host/a", "https://***@host/a", "https://host/a"),
        ("https://host/a?private_token=x", "https://host/a?***", "https://host/a?private_token=x"),
        ("ssh://git:hunter2@host/a", "ssh://git:***@host/a", "ssh://git@host/a"),
        ("git@host:a/b", "git@host:a/b", "git@host:a/b"),
    ] {
        let url = url(text);
        assert_eq!(url.to_string(), shown);
        assert_eq!(format!("{url:?}"), format!("RepositoryUrl({shown})"));
        assert_eq!(url.without_secrets(), bare);
        assert_eq!(url.expose(), text);
        assert_eq!(serde_json::to_string(&url).unwrap(), format!("\"{text}\""));
    }
}

#[test]
fn scrubs_encoded_and_decoded_secrets() {
    let with_escape = url("https://user:p%40ss%2Fw@host/a");
    assert_eq!(with_escape.scrub("p%40ss%2Fw, p@ss/w, user"), "***, ***, user");
    assert_eq!(with_escape.login(), Some(("user".into(), Some("p@ss/w".into()))));
    assert_eq!(url("https://TOKEN@host/a").scrub("https://TOKEN@host"), "https://***@host");
    assert_eq!(url("git@host:a").scrub("git@host"), "git@host");
}

#[test]
fn same_host_needs_transport_name_and_port() {
    let same = |one: &str, other: &str| url(one).same_host(&url(other));
    assert!(same("https://u:p@Host/a", "https://host:443/b") && same("http://h:80/a", "http://h/a"));
    for other in
        ["http://host/a", "https://host:8443/a", "https://host.evil/a", "ssh://host/a", "https://evil/host"]
    {
        assert!(!same("https://host/a", other), "{other}");
    }
}

#[test]
fn resolves_relative_urls_like_git() {
    let joined = |base: &str, text: &str| url(base).join(text, false).map(|url| url.expose());
    assert_eq!(joined("https://u:p@h/a/b.git", "../c.git").unwrap(), "https://u:p@h/a/c.git");
    assert_eq!(joined("https://h/a/b/", "./../../c/").unwrap(), "https://h/c");
    assert_eq!(joined("git@h:a/b", "../c").unwrap(), "git@h:a/c");
    assert_eq!(joined("git@h:a", "../c").unwrap(), "git@h:c");
    assert_eq!(joined("https://h/a", "git://o/c").unwrap(), "git://o/c");
    for climbing in ["../../../c", "../../../../etc"] {
        assert!(joined("https://h/a/b", climbing).is_err(), "{climbing}");
    }
    assert!(joined("https://h/a", "file:///etc").is_err());
    assert!(joined("/srv/a", "../b").is_err(), "local is refused after resolving too");
}
