//! Logins: what a URL, an agent and the user's keys have to offer, each once, and to the right host only.

use std::cell::Cell;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use git2::{Cred, CredentialType, ErrorClass, ErrorCode};

use super::setup::Environment;
use crate::git::url::RepositoryUrl;

/// The beginning of an OpenSSH key that no passphrase locks: cipher `none`.
const UNLOCKED: &str = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmU";
const KEYS: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

/// The logins for one connection to one repository.
pub(super) struct Login<'u> {
    url: &'u RepositoryUrl,
    agent: bool,
    keys: Vec<PathBuf>,
    /// How many of the offers were made.
    made: Cell<usize>,
    /// Whether the server asked for anything that was then offered.
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
            made: Cell::new(0),
            offered: Cell::new(false),
        }
    }

    /// Whether any login was shown to the server.
    pub(super) fn was_offered(&self) -> bool {
        self.offered.get()
    }

    /// Answers libgit2's question; it asks again after each refusal, so the end of the offers ends the asking.
    pub(super) fn answer(
        &self,
        asker: &str,
        user: Option<&str>,
        kinds: CredentialType,
    ) -> Result<Cred, git2::Error> {
        let (named, password) =
            self.url.login().map_or((None, None), |(name, password)| (Some(name), password));
        if kinds.contains(CredentialType::USERNAME) {
            return Cred::username(named.as_deref().unwrap_or("git"));
        }
        // A redirect may have led elsewhere, `insteadOf` too.
        let own_host = RepositoryUrl::read(asker, true).is_ok_and(|asker| asker.same_host(self.url));
        let mut offers = Vec::new();
        if own_host && named.is_some() {
            offers.push(Offer::Password);
        }
        if self.agent {
            offers.push(Offer::Agent);
        }
        offers.extend(self.keys.iter().map(Offer::Key));
        while let Some(offer) = offers.get(self.made.get()) {
            self.made.set(self.made.get() + 1);
            let user = user.or(named.as_deref()).unwrap_or("git");
            let made = match offer {
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
            return made;
        }
        Err(git2::Error::new(ErrorCode::Auth, ErrorClass::Callback, "no login is left to offer"))
    }
}

/// libssh2 gives up altogether on a key that it cannot open, so locked ones are left out.
fn unlocked_keys(folder: &std::path::Path) -> Vec<PathBuf> {
    let unlocked = |path: &PathBuf| {
        std::fs::read_to_string(path).is_ok_and(|text| {
            if text.contains("BEGIN OPENSSH") { text.contains(UNLOCKED) } else { !text.contains("ENCRYPTED") }
        })
    };
    KEYS.iter().map(|name| folder.join(name)).filter(unlocked).collect()
}
