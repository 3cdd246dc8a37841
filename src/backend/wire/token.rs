//! `POST /api/v1/login` and `POST /api/v1/auth/refresh`: both return tokens, which are never logged.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Tokens of a login or refresh.
#[derive(Debug)]
pub struct Tokens {
    /// Sent with every request as `Bearer`.
    pub access: SecretString,
    /// Valid for one refresh. `None`: the next tokens come from a login.
    pub refresh: Option<SecretString>,
}

/// Builds the body of a login request.
pub fn login_body(username: &str, password: &SecretString) -> Vec<u8> {
    #[derive(Serialize)]
    struct Login<'a> {
        username: &'a str,
        password: &'a str,
    }
    to_bytes(&Login { username, password: password.expose_secret() })
}

/// Builds the body of a refresh request.
pub fn refresh_body(refresh: &SecretString) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Refresh<'a> {
        refresh_token: &'a str,
    }
    to_bytes(&Refresh { refresh_token: refresh.expose_secret() })
}

fn to_bytes(body: &impl Serialize) -> Vec<u8> {
    // Serialization of strings to memory cannot fail.
    serde_json::to_vec(body).unwrap_or_default()
}

/// Parses the response to a login or refresh.
///
/// # Errors
///
/// A sentence that quotes nothing of the body: it is not JSON, has no usable `accessToken`, or another `type` than `Bearer`.
pub fn tokens(body: &[u8]) -> Result<Tokens, &'static str> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        r#type: Option<String>,
        access_token: Option<String>,
        refresh_token: Option<String>,
    }
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let answer: Answer =
        serde_json::from_slice(body).map_err(|_| "the response is not a JSON object with `accessToken`")?;
    if answer.r#type.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err("the response's `type` is not `Bearer`");
    }
    let given =
        |token: Option<String>| token.filter(|token| !token.trim().is_empty()).map(SecretString::from);
    let access = given(answer.access_token).ok_or("the response has no `accessToken`")?;
    // A token that is not a valid header value would make every later request fail.
    if access.expose_secret().chars().any(char::is_control) {
        return Err(
            "the `accessToken` contains a line break or another control character, which a header cannot contain",
        );
    }
    Ok(Tokens { access, refresh: given(answer.refresh_token) })
}

/// Expiry of an access token, from `exp` in its payload (RFC 7519, 4.1.4). The signature is not checked.
pub fn expiry(access_token: &SecretString) -> Option<SystemTime> {
    #[derive(Deserialize)]
    struct Payload {
        exp: f64,
    }
    let payload: Payload = serde_json::from_slice(&payload(access_token)?).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(payload.exp).ok()?)
}

/// Roles in an access token, from `roles`, `authorities` or `role`, as strings or, as Spring writes them, as objects with an
/// `authority`. Only for messages; the backend decides itself.
pub fn roles(access_token: &SecretString) -> Option<Vec<String>> {
    let payload: Value = serde_json::from_slice(&payload(access_token)?).ok()?;
    let named = ["roles", "authorities", "role"].iter().find_map(|name| payload.get(name))?;
    let word = |value: &Value| value.get("authority").unwrap_or(value).as_str().map(str::to_owned);
    let all = match named {
        Value::Array(all) => all.iter().filter_map(word).collect(),
        one => word(one).into_iter().collect::<Vec<_>>(),
    };
    (!all.is_empty()).then_some(all)
}

/// Decodes the payload of a token.
fn payload(token: &SecretString) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &URL_SAFE,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    LENIENT.decode(token.expose_secret().split('.').nth(1)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(payload: &str) -> SecretString {
        let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(payload);
        format!("eyJhbGciOiJIUzI1NiJ9.{payload}.c2lnbmF0dXJl").into()
    }

    #[test]
    fn bodies_match_contract() {
        let secret = SecretString::from("p\"w");
        assert_eq!(login_body("u", &secret), br#"{"username":"u","password":"p\"w"}"#);
        assert_eq!(refresh_body(&secret), br#"{"refreshToken":"p\"w"}"#);
    }

    #[test]
    fn parses_tokens_and_hides_them() {
        let answer = br#"{"type":"Bearer","accessToken":"aaa","refreshToken":"rrr","more":1}"#;
        let read = tokens(answer).unwrap();
        assert_eq!(read.access.expose_secret(), "aaa");
        assert_eq!(read.refresh.as_ref().unwrap().expose_secret(), "rrr");
        let shown = format!("{read:?}");
        assert!(!shown.contains("aaa") && !shown.contains("rrr"), "{shown}");
        assert!(tokens(br#"{"accessToken":"aaa","refreshToken":null}"#).unwrap().refresh.is_none());
        for (body, wrong) in [
            (&b"<html>"[..], "not a JSON"),
            (b"{}", "no `accessToken`"),
            (br#"{"accessToken":""}"#, "no `accessToken`"),
            (br#"{"type":"Basic","accessToken":"aaa"}"#, "`type`"),
            (br#"{"accessToken":5}"#, "not a JSON"),
            (br#"{"accessToken":"aa\nbb"}"#, "a header cannot contain"),
            (br#"{"accessToken":"aa\u0000"}"#, "a header cannot contain"),
            (br#"{"accessToken":"aa\u007f"}"#, "a header cannot contain"),
        ] {
            assert!(tokens(body).unwrap_err().contains(wrong), "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn parses_roles_in_token() {
        let roles = |payload: &str| roles(&jwt(payload)).map(|roles| roles.join(" "));
        assert_eq!(roles(r#"{"roles":["USER","ADMIN"]}"#).as_deref(), Some("USER ADMIN"));
        assert_eq!(roles(r#"{"authorities":[{"authority":"ADMIN"}]}"#).as_deref(), Some("ADMIN"));
        assert_eq!(roles(r#"{"role":"USER"}"#).as_deref(), Some("USER"));
        for none in ["{}", r#"{"roles":[]}"#, r#"{"roles":5}"#, "[]"] {
            assert_eq!(roles(none), None, "{none}");
        }
    }

    #[test]
    fn reads_expiry_from_token() {
        let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds));
        assert_eq!(expiry(&jwt(r#"{"sub":"u","exp":1700000000}"#)), at(1_700_000_000.0));
        assert_eq!(expiry(&jwt(r#"{"exp":1700000000.5}"#)), at(1_700_000_000.5));
        for payload in
            ["{}", "[]", r#"{"exp":"x"}"#, r#"{"exp":-5}"#, r#"{"exp":1e300}"#, r#"{"exp":null}"#, "\0"]
        {
            assert_eq!(expiry(&jwt(payload)), None, "{payload}");
        }
        for token in ["", ".", "..", "a.b", "a.!!!!.c", "🙂.🙂.🙂"] {
            assert_eq!(expiry(&token.into()), None, "{token}");
        }
        let padded = base64::engine::general_purpose::URL_SAFE.encode(r#"{"exp":17}"#);
        assert_eq!(expiry(&format!("a.{padded}.c").into()), at(17.0));
    }
}
