//! What the runner logs in with, kept out of everything that is shown of an answer: a backend may repeat what it refuses.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use secrecy::{ExposeSecret, SecretString};

use super::Settings;
use super::wire::Tokens;

/// A shorter one would take pieces out of ordinary words, and is guessed anyway.
const SHORTEST: usize = 4;
/// An answer may still be about the tokens before the last ones: two pairs.
const REMEMBERED: usize = 4;

/// The password, and the tokens that were given for it last.
#[derive(Debug)]
pub(super) struct Secrets {
    /// None where nobody logs in: it is sent to nobody then.
    password: Option<SecretString>,
    tokens: Mutex<VecDeque<SecretString>>,
}

impl Secrets {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { password: settings.auth.then(|| settings.password.clone()), tokens: Mutex::default() }
    }

    /// Remembers `tokens`, which are sent from now on.
    pub(super) fn learn(&self, tokens: &Tokens) {
        let mut known = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend([&tokens.access].into_iter().chain(&tokens.refresh).cloned());
        let old = known.len().saturating_sub(REMEMBERED);
        known.drain(..old);
    }

    /// `text` with `***` for each of them, as it is and as JSON escapes it.
    pub(super) fn hide(&self, text: &str) -> String {
        let known = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = text.to_owned();
        for secret in known.iter().chain(&self.password).map(ExposeSecret::expose_secret) {
            if secret.len() < SHORTEST {
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
