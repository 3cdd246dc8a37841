//! Parses repository URLs. Only transports for which git starts no program are allowed.

use serde::{Deserialize, Deserializer};

use super::percent::decode;
use super::repository_url::{RepositoryUrl, Transport};

/// Error for local repositories.
const LOCAL: &str = "file:// repositories are not allowed here \
    (start the runner with --allow-local-repositories to take them)";
/// The allowed forms, for errors.
const EXPECTED: &str = "expected https://…, http://…, ssh://…, git://… or git@host:path";

impl RepositoryUrl {
    /// Parses the `repositoryUrl` of a task. `allow_local` allows paths and `file://` URLs.
    ///
    /// # Errors
    ///
    /// One sentence without secrets that starts with `repositoryUrl: `.
    pub fn parse(text: &str, allow_local: bool) -> Result<Self, String> {
        Self::read(text, allow_local).map_err(|why| format!("repositoryUrl: {why}"))
    }

    /// Parses a URL that is not the `repositoryUrl` of a task.
    ///
    /// # Errors
    ///
    /// One sentence without secrets and without a name of the URL.
    pub fn read(text: &str, allow_local: bool) -> Result<Self, String> {
        if text.is_empty() {
            return Err(format!("there is no URL, {EXPECTED}"));
        }
        if text.len() > 4096 {
            return Err("the URL is longer than 4096 bytes".to_owned());
        }
        // A local folder may have a space in its name.
        let blank = |c: char| c.is_whitespace() && !(c == ' ' && text.starts_with('/'));
        if text.chars().any(|c| blank(c) || c.is_control()) || decode(text).iter().any(u8::is_ascii_control) {
            return Err("the URL contains white space or control characters".to_owned());
        }
        match text.split_once("://") {
            Some((scheme, rest)) if is_scheme(scheme) => Self::of_scheme(scheme, rest, allow_local),
            _ if text.starts_with(['/', '.']) => Self::of_path(text, allow_local),
            _ => Self::of_scp(text),
        }
    }

    /// Parses `scheme://rest`.
    fn of_scheme(scheme: &str, rest: &str, allow_local: bool) -> Result<Self, String> {
        let scheme = scheme.to_ascii_lowercase();
        let transport = match scheme.as_str() {
            "https" => Transport::Https,
            "http" => Transport::Http,
            "ssh" => Transport::Ssh,
            "git" => Transport::Git,
            "file" if !allow_local => return Err(LOCAL.to_owned()),
            "file" if !rest.starts_with('/') => {
                return Err("a file:// URL needs an absolute path, as in file:///srv/repository".to_owned());
            }
            "file" => Transport::Local,
            other => return Err(format!("{other}:// is not a supported transport, {EXPECTED}")),
        };
        if transport == Transport::Local {
            return Ok(Self::local("file://", rest));
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (userinfo, host) = split_userinfo(authority);
        check_authority(host)?;
        // Other parsers end the host at a backslash.
        if authority.contains('\\') {
            return Err("the host of the URL is not a host name".to_owned());
        }
        if path.trim_matches('/').is_empty() || !path.starts_with('/') {
            return Err("the URL names a host but no repository on it".to_owned());
        }
        Ok(Self {
            transport,
            prefix: format!("{scheme}://"),
            userinfo,
            authority: host.to_ascii_lowercase(),
            path: path.to_owned(),
        })
    }

    /// Parses a path of this machine.
    fn of_path(text: &str, allow_local: bool) -> Result<Self, String> {
        if !allow_local {
            return Err(LOCAL.to_owned());
        }
        let absolute = std::path::absolute(text).map_err(|e| format!("the path cannot be used: {e}"))?;
        Ok(Self::local("", &absolute.to_string_lossy()))
    }

    /// Parses `user@host:path`.
    fn of_scp(text: &str) -> Result<Self, String> {
        let unknown = || format!("this is not the URL of a repository, {EXPECTED}");
        let (login, path) = text.split_once(':').ok_or_else(unknown)?;
        // git starts a program for `ext::sh -c …` and similar URLs.
        if path.starts_with(':') {
            return Err(format!("{}:: is not a supported transport, {EXPECTED}", excerpt(login)));
        }
        let (Some(user), host) = split_userinfo(login) else {
            return Err(unknown());
        };
        check_authority(host)?;
        if user.is_empty() || user.starts_with('-') || user.contains(['/', ':']) {
            return Err("the user name in the URL is not a user name".to_owned());
        }
        if path.trim_matches('/').is_empty() || path.starts_with('-') {
            return Err("the URL names a host but no repository on it".to_owned());
        }
        Ok(Self {
            transport: Transport::Ssh,
            prefix: String::new(),
            userinfo: Some(user),
            authority: host.to_ascii_lowercase(),
            path: format!(":{path}"),
        })
    }

    fn local(prefix: &str, path: &str) -> Self {
        Self {
            transport: Transport::Local,
            prefix: prefix.to_owned(),
            userinfo: None,
            authority: String::new(),
            path: path.to_owned(),
        }
    }

    /// Resolves the URL `text` in this repository's `.gitmodules`; relative ones as git does.
    ///
    /// # Errors
    ///
    /// As [`Self::read`], and for a relative URL with too many `../`.
    pub fn join(&self, text: &str, allow_local: bool) -> Result<Self, String> {
        if !(text.starts_with("./") || text.starts_with("../")) {
            return Self::read(text, allow_local);
        }
        let mut base = self.path.trim_end_matches('/');
        let mut rest = text;
        loop {
            if let Some(next) = rest.strip_prefix("./") {
                rest = next;
            } else if let Some(next) = rest.strip_prefix("../") {
                let cut = base.rfind(['/', ':']).ok_or("its URL contains too many ../")?;
                base = if base[cut..].starts_with(':') { &base[..=cut] } else { &base[..cut] };
                rest = next;
            } else {
                break;
            }
        }
        let between = if base.ends_with(':') { "" } else { "/" };
        let path = format!("{base}{between}{}", rest.trim_end_matches('/'));
        Self::read(&Self { path, ..self.clone() }.expose(), allow_local)
    }
}

fn is_scheme(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

/// Splits `userinfo@host`.
fn split_userinfo(authority: &str) -> (Option<String>, &str) {
    match authority.rsplit_once('@') {
        Some((info, host)) => (Some(info.to_owned()), host),
        None => (None, authority),
    }
}

/// Checks a host name or IPv6 address with an optional port.
fn check_authority(authority: &str) -> Result<(), String> {
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => {
            address.parse::<std::net::Ipv6Addr>().map_err(|_| "the host of the URL is not a host name")?;
            ("ipv6", rest.strip_prefix(':'))
        }
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() {
        return Err("the URL names no host".to_owned());
    }
    if host.starts_with('-') || !host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)) {
        return Err("the host of the URL is not a host name".to_owned());
    }
    match port.map(str::parse::<u16>) {
        None | Some(Ok(1..)) => Ok(()),
        Some(_) => Err("the port of the URL is not a port".to_owned()),
    }
}

/// Shortens a part of an invalid URL for its error, without a login.
fn excerpt(part: &str) -> String {
    part.rsplit('@').next().unwrap_or_default().chars().take(20).collect()
}

impl<'de> Deserialize<'de> for RepositoryUrl {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // Allows local URLs; the request contains `allow_local`, and the child checks it.
        let text = String::deserialize(from)?;
        Self::read(&text, true).map_err(serde::de::Error::custom)
    }
}
