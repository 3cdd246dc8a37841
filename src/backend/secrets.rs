//! Removes the runner's password and tokens from responses before they are logged: a backend may repeat them in an error.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use secrecy::{ExposeSecret, SecretString};

use super::settings::Settings;
use super::wire::Tokens;

/// Shorter secrets are not masked, because they occur in ordinary words.
const MIN_LENGTH: usize = 4;
/// Number of remembered tokens: two pairs, because a response may refer to the previous pair.
const REMEMBERED: usize = 4;

/// The password and the latest tokens.
#[derive(Debug)]
pub(super) struct Secrets {
    /// `None` if the runner does not log in.
    password: Option<SecretString>,
    tokens: Mutex<VecDeque<SecretString>>,
}

impl Secrets {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { password: settings.auth.then(|| settings.password.clone()), tokens: Mutex::default() }
    }

    /// Adds new tokens.
    pub(super) fn learn(&self, tokens: &Tokens) {
        let mut known = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend([&tokens.access].into_iter().chain(&tokens.refresh).cloned());
        let old = known.len().saturating_sub(REMEMBERED);
        known.drain(..old);
    }

    /// Replaces each secret in `text`, also if escaped as in JSON, by `***`.
    pub(super) fn hide(&self, text: &str) -> String {
        let known = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = text.to_owned();
        for secret in known.iter().chain(&self.password).map(ExposeSecret::expose_secret) {
            if secret.len() < MIN_LENGTH {
                continue;
            }
            let escaped = serde_json::to_string(secret).unwrap_or_default();
            for form in [secret, escaped.trim_matches('"')] {
                if text.contains(form) {
                    text = text.replace(form, "***");
                }
            }
        }
        text
    }
}
