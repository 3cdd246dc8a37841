//! Contents of spool files: the backend's JSON, byte for byte, inside a few fields.

use std::borrow::Cow;
use std::io;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Contents of a claim's file. Unknown fields are ignored, so that other versions can read it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ClaimFile<'a> {
    #[serde(borrow)]
    pub(super) id: &'a RawValue,
    #[serde(borrow)]
    pub(super) claimed_at: Cow<'a, str>,
    /// Number of started attempts.
    pub(super) starts: u32,
    /// The backend's response.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    claim: Option<&'a RawValue>,
    /// The backend's response if it is not valid JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    claim_base64: Option<String>,
}

impl<'a> ClaimFile<'a> {
    pub(super) fn new(id: &'a RawValue, claimed_at: &'a str, starts: u32, body: &'a [u8]) -> Self {
        let claim = serde_json::from_slice(body).ok();
        let claim_base64 = claim.is_none().then(|| BASE64_STANDARD.encode(body));
        Self { id, claimed_at: claimed_at.into(), starts, claim, claim_base64 }
    }

    /// The backend's response. The error states what is wrong with the file.
    pub(super) fn body(&self) -> Result<Cow<'a, [u8]>, String> {
        match (self.claim, &self.claim_base64) {
            (Some(claim), _) => Ok(claim.get().as_bytes().into()),
            (None, Some(encoded)) => {
                let body = BASE64_STANDARD.decode(encoded);
                body.map(Cow::Owned).map_err(|error| format!("claim_base64: {error}"))
            }
            (None, None) => Err("missing field `claim`".to_owned()),
        }
    }
}

/// Contents of a result's file, in `results/` and in `rejected/`; a file can be moved from one to the other.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ResultFile<'a> {
    #[serde(borrow)]
    pub(super) id: &'a RawValue,
    #[serde(borrow)]
    pub(super) claimed_at: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) finished_at: Cow<'a, str>,
    /// The rejection, for files in `rejected/`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub(super) refused: Option<Refused<'a>>,
    /// The body to post.
    #[serde(borrow)]
    pub(super) result: &'a RawValue,
}

/// The response that rejected a result.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Refused<'a> {
    #[serde(borrow)]
    pub(super) at: Cow<'a, str>,
    pub(super) status: u16,
    #[serde(borrow)]
    pub(super) answer: Cow<'a, str>,
}

/// Parses a claim's file. The error states what is wrong with it.
pub(super) fn claim(text: &[u8]) -> Result<ClaimFile<'_>, String> {
    serde_json::from_slice(text).map_err(|error| format!("not a claim of the spool: {error}"))
}

/// Parses a result's file. The error states what is wrong with it.
pub(super) fn result(text: &[u8]) -> Result<ResultFile<'_>, String> {
    let file: ResultFile =
        serde_json::from_slice(text).map_err(|error| format!("not a result of the spool: {error}"))?;
    is_object(file.result)
        .then_some(file)
        .ok_or_else(|| "not a result of the spool: `result` is not an object".to_owned())
}

/// Parses the body of a result, which must be a JSON object.
pub(super) fn body(text: &[u8]) -> io::Result<&RawValue> {
    let raw = serde_json::from_slice::<&RawValue>(text).ok().filter(|raw| is_object(raw));
    raw.ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, "the body of a result must be a JSON object")
    })
}

fn is_object(raw: &RawValue) -> bool {
    raw.get().starts_with('{')
}

/// Serializes a file with one field per line and the backend's JSON unchanged.
pub(super) fn write(file: &impl Serialize) -> Vec<u8> {
    // Writing to memory cannot fail, and all keys of the structures above are strings.
    let mut text = serde_json::to_vec_pretty(file).unwrap_or_default();
    text.push(b'\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claim_round_trips_byte_for_byte() {
        let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        for body in [
            "{ \"id\" : 1e400,\n \"x\": \"\\ud800\" , \"x\": 2 }",
            "{\"id\": 123456789012345678901234567890.10}",
            deep.as_str(),
        ] {
            let id = RawValue::from_string("1.50".to_owned()).unwrap();
            let file = write(&ClaimFile::new(&id, "then", 1, body.as_bytes()));
            let back = claim(&file).unwrap();
            assert_eq!((back.id.get(), back.starts), ("1.50", 1));
            assert_eq!(String::from_utf8_lossy(&back.body().unwrap()), body);
        }
        let torn = b"\xff{not json";
        let file = write(&ClaimFile::new(RawValue::NULL, "then", 1, torn));
        assert_eq!(&*claim(&file).unwrap().body().unwrap(), torn);
    }

    #[test]
    fn rejects_foreign_file_with_reason() {
        for (text, why) in [
            ("", "EOF"),
            ("{\"id\": 1", "EOF"),
            ("[]", "invalid"),
            ("{}", "missing field"),
            ("{\"id\":1,\"claimed_at\":\"\",\"finished_at\":\"\",\"result\":[]}", "not an object"),
            ("{\"id\":1,\"claimed_at\":\"\",\"finished_at\":\"\",\"result\":{}} x", "trailing"),
        ] {
            let error = result(text.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
            assert!(claim(text.as_bytes()).is_err(), "{text}");
        }
    }
}
