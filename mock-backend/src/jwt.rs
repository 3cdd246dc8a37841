//! JSON Web Tokens as the deployed backend issues them: HS256 with `sub`, `exp` and `roles`, without `iat`.
//! Only signs and verifies; `auth` checks lifetimes and roles.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

const HEADER: &str = r#"{"alg":"HS256"}"#;

/// A random signing key. Tokens of another key are invalid.
pub(crate) struct Key([u8; 32]);

/// The claims of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// The user's name.
    pub(crate) sub: String,
    /// Expiry in seconds since the Unix epoch, by the backend's clock.
    pub(crate) exp: u64,
    /// The roles of the user.
    pub(crate) roles: Vec<String>,
    /// Distinguishes refresh tokens that were issued within the same second. Access tokens have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) jti: Option<String>,
}

impl Key {
    /// A random key. Not cryptographically secure, which is sufficient for tests.
    pub(crate) fn random() -> Self {
        Self(std::array::from_fn(|_| fastrand::u8(..)))
    }

    /// Signs the claims and returns the token.
    pub(crate) fn sign(&self, claims: &Claims) -> String {
        let payload = serde_json::json!(claims).to_string();
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(HEADER), URL_SAFE_NO_PAD.encode(payload));
        let signature = self.mac(&signed).finalize().into_bytes();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Returns the claims of a token that this key signed, else `None`. Does not check the expiry.
    pub(crate) fn verify(&self, token: &str) -> Option<Claims> {
        let (signed, signature) = token.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        // `verify_slice` compares in constant time. The header's `alg` is ignored: there is only one algorithm.
        self.mac(signed).verify_slice(&signature).ok()?;
        let (_header, payload) = signed.split_once('.')?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
    }

    fn mac(&self, signed: &str) -> Hmac<Sha256> {
        #[expect(clippy::expect_used, reason = "HMAC accepts a key of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC accepts a key of any length");
        mac.update(signed.as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        Claims { sub: "dora".into(), exp: 1_700_000_000, roles: vec!["ADMIN".into()], jti: None }
    }

    #[test]
    fn verify_returns_the_signed_claims() {
        let key = Key::random();
        assert_eq!(key.verify(&key.sign(&claims())), Some(claims()));
    }

    #[test]
    fn access_token_has_neither_iat_nor_jti() {
        let token = Key::random().sign(&claims());
        let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let payload: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(payload, serde_json::json!({"sub": "dora", "exp": 1_700_000_000, "roles": ["ADMIN"]}));
    }

    #[test]
    fn rejects_other_key_changed_payload_missing_signature() {
        let key = Key::random();
        let token = key.sign(&claims());
        assert_eq!(Key::random().verify(&token), None);

        let mut parts: Vec<&str> = token.split('.').collect();
        let forged = URL_SAFE_NO_PAD.encode(r#"{"sub":"dora","exp":9999999999,"roles":["ADMIN"]}"#);
        parts[1] = &forged;
        assert_eq!(key.verify(&parts.join(".")), None);
        assert_eq!(key.verify(&format!("{}.{}.", parts[0], parts[1])), None);
        assert_eq!(key.verify("not a token"), None);
    }
}
