//! Where a repository is: a URL that was checked once and never shows its password by accident.
//!
//! Only transports that start no program are taken; `Display` and `Debug` are masked, [`RepositoryUrl::expose`] is not.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const LOCAL: &str = "file:// repositories are not allowed here \
    (start the runner with --allow-local-repositories to take them)";
const EXPECTED: &str = "expected https://…, http://…, ssh://…, git://… or git@host:path";
const MASK: &str = "***";

/// How a repository is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// `https://`
    Https,
    /// `http://`
    Http,
    /// `ssh://` or `user@host:path`
    Ssh,
    /// `git://`
    Git,
    /// `file://` or a path
    Local,
}

/// A checked repository URL.
#[derive(Clone, PartialEq, Eq)]
pub struct RepositoryUrl {
    transport: Transport,
    /// `https://`, or nothing for a path and for `user@host:path`.
    prefix: String,
    /// As written, without the `@`.
    userinfo: Option<String>,
    /// Host and port as written, lower case; empty for local repositories.
    authority: String,
    /// What follows the authority, with its leading `/` or `:`.
    path: String,
}

impl RepositoryUrl {
    /// Checks the `repositoryUrl` of a task. The error is one sentence that shows no password.
    pub fn parse(text: &str, allow_local: bool) -> Result<Self, String> {
        Self::read(text, allow_local).map_err(|why| format!("repositoryUrl: {why}"))
    }

    /// Like [`Self::parse`], for a URL that has another name than `repositoryUrl`: the error does not name it.
    pub fn read(text: &str, allow_local: bool) -> Result<Self, String> {
        if text.is_empty() {
            return Err(format!("there is no URL, {EXPECTED}"));
        }
        if text.len() > 4096 {
            return Err("the URL is longer than 4096 bytes".to_owned());
        }
        // A folder of this machine may well have a blank in its name.
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
            other => return Err(format!("{other}:// is no way to reach a repository here, {EXPECTED}")),
        };
        if transport == Transport::Local {
            return Ok(Self::local("file://", rest));
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (userinfo, host) = split_userinfo(authority);
        check_authority(host)?;
        // Others end the host there.
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

    fn of_path(text: &str, allow_local: bool) -> Result<Self, String> {
        if !allow_local {
            return Err(LOCAL.to_owned());
        }
        let absolute = std::path::absolute(text).map_err(|e| format!("the path cannot be used: {e}"))?;
        Ok(Self::local("", &absolute.to_string_lossy()))
    }

    fn of_scp(text: &str) -> Result<Self, String> {
        let unknown = || format!("this is not the URL of a repository, {EXPECTED}");
        let (login, path) = text.split_once(':').ok_or_else(unknown)?;
        // `ext::sh -c …` and its like are programs to git.
        if path.starts_with(':') {
            return Err(format!("{}:: is no way to reach a repository here, {EXPECTED}", shown(login)));
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

    /// The URL that `text` in a `.gitmodules` of this repository stands for: relative ones are resolved as git does.
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
                let cut = base.rfind(['/', ':']).ok_or("it climbs out of its host")?;
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

    /// The URL with everything in it. Not for logs.
    pub fn expose(&self) -> String {
        self.written(self.userinfo.as_deref())
    }

    /// The URL for libgit2: a user name stays where ssh needs it, nothing else of the login does.
    pub fn without_secrets(&self) -> String {
        match self.transport {
            Transport::Ssh => {
                self.written(self.userinfo.as_deref().map(|info| info.split(':').next().unwrap_or(info)))
            }
            _ => self.written(None),
        }
    }

    /// How it is reached.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Whether it is a repository of this machine.
    pub fn is_local(&self) -> bool {
        self.transport == Transport::Local
    }

    /// Whether a login for the one may be shown to the other: same transport, host and port.
    pub fn same_host(&self, other: &Self) -> bool {
        let host = |url: &Self| {
            let port = match url.transport {
                Transport::Https => ":443",
                Transport::Http => ":80",
                Transport::Ssh => ":22",
                Transport::Git => ":9418",
                Transport::Local => "",
            };
            url.authority.strip_suffix(port).unwrap_or(&url.authority).to_owned()
        };
        self.transport == other.transport && host(self) == host(other)
    }

    /// Host and port, for people; empty for a local repository.
    pub fn host(&self) -> &str {
        &self.authority
    }

    /// The decoded user name and password of the URL; a lone token is a user name with an empty password.
    pub fn login(&self) -> Option<(String, Option<String>)> {
        let info = self.userinfo.as_deref()?;
        let text = |part| String::from_utf8_lossy(&decode(part)).into_owned();
        Some(match info.split_once(':') {
            Some((user, password)) => (text(user), Some(text(password))),
            None => (text(info), None),
        })
    }

    /// `text` without anything secret of this URL, raw or decoded.
    pub fn scrub(&self, text: &str) -> String {
        let mut secrets = Vec::new();
        if let Some(query) = self.query() {
            secrets.push(query.to_owned());
        }
        let (user, password) = self.secrets();
        for secret in [user, password].into_iter().flatten() {
            secrets.push(String::from_utf8_lossy(&decode(secret)).into_owned());
            secrets.push(secret.to_owned());
        }
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets
            .iter()
            .filter(|secret| !secret.is_empty())
            .fold(text.to_owned(), |text, secret| text.replace(secret, MASK))
    }

    /// What of the user name and what of the password nobody may see.
    fn secrets(&self) -> (Option<&str>, Option<&str>) {
        let Some(info) = self.userinfo.as_deref() else { return (None, None) };
        let web = matches!(self.transport, Transport::Http | Transport::Https);
        match info.split_once(':') {
            // Forges take a token as user name with a fixed or no password.
            Some((user, password)) if web && matches!(password, "" | "x-oauth-basic") => (Some(user), None),
            Some((_, password)) => (None, Some(password)),
            None if web => (Some(info), None),
            None => (None, None),
        }
    }

    fn query(&self) -> Option<&str> {
        self.path.split_once('?').map(|(_, query)| query)
    }

    fn written(&self, userinfo: Option<&str>) -> String {
        let at = userinfo.map(|info| format!("{info}@")).unwrap_or_default();
        format!("{}{at}{}{}", self.prefix, self.authority, self.path)
    }
}

fn is_scheme(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

fn split_userinfo(authority: &str) -> (Option<String>, &str) {
    match authority.rsplit_once('@') {
        Some((info, host)) => (Some(info.to_owned()), host),
        None => (None, authority),
    }
}

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

/// A piece of a wrong URL for its error: short, and nothing that may be a login.
fn shown(piece: &str) -> String {
    piece.rsplit('@').next().unwrap_or_default().chars().take(20).collect()
}

/// Percent-decoding; what is no valid escape stays.
fn decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        let escaped =
            escaped.filter(|hex| !hex.starts_with('+')).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(escaped.unwrap_or(bytes[at]));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    out
}

impl fmt::Display for RepositoryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let masked = self.userinfo.as_deref().map(|info| match self.secrets() {
            (Some(_), _) => MASK.to_owned(),
            (None, Some(_)) => format!("{}:{MASK}", info.split(':').next().unwrap_or_default()),
            (None, None) => info.to_owned(),
        });
        let shown = self.written(masked.as_deref());
        match self.query() {
            Some(query) => write!(f, "{}{MASK}", &shown[..shown.len() - query.len()]),
            None => f.write_str(&shown),
        }
    }
}

impl fmt::Debug for RepositoryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RepositoryUrl({self})")
    }
}

impl Serialize for RepositoryUrl {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.expose())
    }
}

impl<'de> Deserialize<'de> for RepositoryUrl {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // Whether a local one is welcome is for the reader to say: a request has its own `allow_local`.
        let text = String::deserialize(from)?;
        Self::read(&text, true).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
