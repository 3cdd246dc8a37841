//! The checked URL. `Display` and `Debug` mask its secrets; [`RepositoryUrl::expose`] does not.

use std::fmt;

use serde::{Serialize, Serializer};

use super::percent::decode;

/// Replaces a secret in messages.
const MASK: &str = "***";

/// Transport of a repository URL.
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
    pub(super) transport: Transport,
    /// For example `https://`; empty for a path and for `user@host:path`.
    pub(super) prefix: String,
    /// User information, not decoded, without the `@`.
    pub(super) userinfo: Option<String>,
    /// Host and port in lower case; empty for local repositories.
    pub(super) authority: String,
    /// The rest of the URL, with its leading `/` or `:`.
    pub(super) path: String,
}

impl RepositoryUrl {
    /// The complete URL with its secrets. Not for logs.
    pub fn expose(&self) -> String {
        self.format_with(self.userinfo.as_deref())
    }

    /// The URL for libgit2: without the login, except the user name of an ssh URL.
    pub fn without_secrets(&self) -> String {
        match self.transport {
            Transport::Ssh => {
                self.format_with(self.userinfo.as_deref().map(|info| info.split(':').next().unwrap_or(info)))
            }
            _ => self.format_with(None),
        }
    }

    /// The transport.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Whether the repository is on this machine.
    pub fn is_local(&self) -> bool {
        self.transport == Transport::Local
    }

    /// Whether transport, host and port are equal, so that a login for one URL may be sent to the other.
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

    /// Host and port, for messages; empty for a local repository.
    pub fn host(&self) -> &str {
        &self.authority
    }

    /// The decoded user name and password of the URL. A single token is a user name without a password.
    pub fn login(&self) -> Option<(String, Option<String>)> {
        let info = self.userinfo.as_deref()?;
        let text = |part| String::from_utf8_lossy(&decode(part)).into_owned();
        Some(match info.split_once(':') {
            Some((user, password)) => (text(user), Some(text(password))),
            None => (text(info), None),
        })
    }

    /// Masks in `text` all secrets of this URL, encoded and decoded.
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

    /// The user name and the password, each if it is a secret.
    fn secrets(&self) -> (Option<&str>, Option<&str>) {
        let Some(info) = self.userinfo.as_deref() else { return (None, None) };
        let web = matches!(self.transport, Transport::Http | Transport::Https);
        match info.split_once(':') {
            // Git hosts accept a token as the user name, with an empty or a fixed password.
            Some((user, password)) if web && matches!(password, "" | "x-oauth-basic") => (Some(user), None),
            Some((_, password)) => (None, Some(password)),
            None if web => (Some(info), None),
            None => (None, None),
        }
    }

    /// The query part, which may contain a token.
    fn query(&self) -> Option<&str> {
        self.path.split_once('?').map(|(_, query)| query)
    }

    /// The URL with `userinfo` instead of its own.
    fn format_with(&self, userinfo: Option<&str>) -> String {
        let at = userinfo.map(|info| format!("{info}@")).unwrap_or_default();
        format!("{}{at}{}{}", self.prefix, self.authority, self.path)
    }
}

impl fmt::Display for RepositoryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let masked = self.userinfo.as_deref().map(|info| match self.secrets() {
            (Some(_), _) => MASK.to_owned(),
            (None, Some(_)) => format!("{}:{MASK}", info.split(':').next().unwrap_or_default()),
            (None, None) => info.to_owned(),
        });
        let shown = self.format_with(masked.as_deref());
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
