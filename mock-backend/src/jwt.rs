//! JSON Web Tokens as the deployed backend makes them: HS256 with `sub`, `exp` and `roles`, and no `iat`.
//! Signing and checking only; what a token permits and how long it lives is decided in `auth`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

const HEADER: &str = r#"{"alg":"HS256"}"#;

/// A signing key. Random for each backend; a new one makes every token of the old one worthless.
pub(crate) struct Key([u8; 32]);

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// The user's name.
    pub(crate) sub: String,
    /// Seconds since 1970 by the backend's clock.
    pub(crate) exp: u64,
    /// The roles of the user.
    pub(crate) roles: Vec<String>,
    /// Makes refresh tokens differ that were issued within the same second. Access tokens have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) jti: Option<String>,
}

impl Key {
    /// A key that nobody has seen. Good enough for a stand-in, not for a real service.
    pub(crate) fn random() -> Self {
        Self(std::array::from_fn(|_| fastrand::u8(..)))
    }

    /// The token for these claims.
    pub(crate) fn sign(&self, claims: &Claims) -> String {
        let payload = serde_json::json!(claims).to_string();
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(HEADER), URL_SAFE_NO_PAD.encode(payload));
        let signature = self.mac(&signed).finalize().into_bytes();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The claims of a token that this key signed; `None` for anything else. Says nothing about its age.
    pub(crate) fn verify(&self, token: &str) -> Option<Claims> {
        let (signed, signature) = token.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        // `verify_slice` compares in constant time. The header's `alg` is never asked: there is one algorithm.
        self.mac(signed).verify_slice(&signature).ok()?;
        let (_header, payload) = signed.split_once('.')?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
    }

    fn mac(&self, signed: &str) -> Hmac<Sha256> {
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
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
    fn a_token_comes_back_as_it_was_signed() {
        let key = Key::random();
        assert_eq!(key.verify(&key.sign(&claims())), Some(claims()));
    }

    #[test]
    fn the_payload_has_neither_iat_nor_jti() {
        let token = Key::random().sign(&claims());
        let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let payload: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(payload, serde_json::json!({"sub": "dora", "exp": 1_700_000_000, "roles": ["ADMIN"]}));
    }

    #[test]
    fn another_key_a_changed_payload_and_no_signature_are_refused() {
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
