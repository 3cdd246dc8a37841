//! Logins from the URL, the ssh agent and the user's keys. Each is offered once, the one of the URL only to its host.

use std::cell::Cell;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use git2::{Cred, CredentialType, ErrorClass, ErrorCode};

use super::setup::Environment;
use super::url::RepositoryUrl;

/// Base64 of the first bytes of an OpenSSH key without a passphrase: `openssh-key-v1`, cipher `none`.
const UNLOCKED: &str = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmU";
/// File names of keys in `~/.ssh`.
const KEYS: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

/// The logins for one connection to one repository.
pub(super) struct Login<'u> {
    url: &'u RepositoryUrl,
    agent: bool,
    keys: Vec<PathBuf>,
    /// Number of offers that were tried or skipped.
    next_offer: Cell<usize>,
    /// Whether any login was sent to the server.
    offered: Cell<bool>,
}

#[derive(Clone, Copy)]
enum Offer<'a> {
    Password,
    Agent,
    Key(&'a PathBuf),
}

impl<'u> Login<'u> {
    pub(super) fn new(url: &'u RepositoryUrl, environment: &Environment) -> Self {
        let reachable = |socket| UnixStream::connect(socket).is_ok();
        Self {
            url,
            agent: environment.get("SSH_AUTH_SOCK").is_some_and(reachable),
            keys: environment.home().map(|home| unlocked_keys(&home.join(".ssh"))).unwrap_or_default(),
            next_offer: Cell::new(0),
            offered: Cell::new(false),
        }
    }

    /// Whether any login was sent to the server.
    pub(super) fn was_offered(&self) -> bool {
        self.offered.get()
    }

    /// Returns the next login for libgit2, which calls this again after each refusal; fails if there is none left.
    pub(super) fn next(
        &self,
        server: &str,
        user: Option<&str>,
        kinds: CredentialType,
    ) -> Result<Cred, git2::Error> {
        let (named, password) =
            self.url.login().map_or((None, None), |(name, password)| (Some(name), password));
        if kinds.contains(CredentialType::USERNAME) {
            return Cred::username(named.as_deref().unwrap_or("git"));
        }
        // A redirect or `insteadOf` may have led to another host.
        let own_host = RepositoryUrl::read(server, true).is_ok_and(|server| server.same_host(self.url));
        let mut offers = Vec::new();
        if own_host && named.is_some() {
            offers.push(Offer::Password);
        }
        if self.agent {
            offers.push(Offer::Agent);
        }
        offers.extend(self.keys.iter().map(Offer::Key));
        while let Some(offer) = offers.get(self.next_offer.get()) {
            self.next_offer.set(self.next_offer.get() + 1);
            let user = user.or(named.as_deref()).unwrap_or("git");
            let credential = match offer {
                Offer::Password if kinds.contains(CredentialType::USER_PASS_PLAINTEXT) => {
                    Cred::userpass_plaintext(
                        named.as_deref().unwrap_or_default(),
                        password.as_deref().unwrap_or(""),
                    )
                }
                Offer::Agent if kinds.contains(CredentialType::SSH_KEY) => Cred::ssh_key_from_agent(user),
                Offer::Key(path) if kinds.contains(CredentialType::SSH_KEY) => {
                    Cred::ssh_key(user, None, path, None)
                }
                _ => continue,
            };
            self.offered.set(true);
            return credential;
        }
        Err(git2::Error::new(ErrorCode::Auth, ErrorClass::Callback, "the server refused all logins"))
    }
}

/// Lists the keys without a passphrase. libssh2 fails on a key that it cannot open, without trying the others.
fn unlocked_keys(folder: &std::path::Path) -> Vec<PathBuf> {
    let unlocked = |path: &PathBuf| {
        std::fs::read_to_string(path).is_ok_and(|text| {
            if text.contains("BEGIN OPENSSH") { text.contains(UNLOCKED) } else { !text.contains("ENCRYPTED") }
        })
    };
    KEYS.iter().map(|name| folder.join(name)).filter(unlocked).collect()
}
