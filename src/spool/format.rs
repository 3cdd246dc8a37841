//! What a spool file looks like inside: the backend's own JSON kept byte for byte, with a few lines around it.

use std::borrow::Cow;
use std::io;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A claim. Fields that are not known are ignored, so that files outlive versions.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ClaimFile<'a> {
    #[serde(borrow)]
    pub(super) id: &'a RawValue,
    #[serde(borrow)]
    pub(super) claimed_at: Cow<'a, str>,
    /// How often a run of it was begun.
    pub(super) starts: u32,
    /// The backend's answer.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    claim: Option<&'a RawValue>,
    /// The backend's answer where it cannot stand inside JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    claim_base64: Option<String>,
}

impl<'a> ClaimFile<'a> {
    pub(super) fn new(id: &'a RawValue, claimed_at: &'a str, starts: u32, body: &'a [u8]) -> Self {
        let claim = serde_json::from_slice(body).ok();
        let claim_base64 = claim.is_none().then(|| BASE64_STANDARD.encode(body));
        Self { id, claimed_at: claimed_at.into(), starts, claim, claim_base64 }
    }

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

/// A result, refused or not: a file of `rejected/` is one of `results/` again once it is moved there.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ResultFile<'a> {
    #[serde(borrow)]
    pub(super) id: &'a RawValue,
    #[serde(borrow)]
    pub(super) claimed_at: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) finished_at: Cow<'a, str>,
    /// Why it is in `rejected/`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub(super) refused: Option<Refused<'a>>,
    /// The body to post.
    #[serde(borrow)]
    pub(super) result: &'a RawValue,
}

/// The answer that refused a result.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Refused<'a> {
    #[serde(borrow)]
    pub(super) at: Cow<'a, str>,
    pub(super) status: u16,
    #[serde(borrow)]
    pub(super) answer: Cow<'a, str>,
}

/// Reads a claim's file. The error says what is wrong with it.
pub(super) fn claim(text: &[u8]) -> Result<ClaimFile<'_>, String> {
    serde_json::from_slice(text).map_err(|error| format!("no claim of a spool: {error}"))
}

/// Reads a result's file. The error says what is wrong with it.
pub(super) fn result(text: &[u8]) -> Result<ResultFile<'_>, String> {
    let file: ResultFile =
        serde_json::from_slice(text).map_err(|error| format!("no result of a spool: {error}"))?;
    is_object(file.result)
        .then_some(file)
        .ok_or_else(|| "no result of a spool: `result` is no object".to_owned())
}

/// Reads the body of a result. The error says that it is none.
pub(super) fn body(text: &[u8]) -> io::Result<&RawValue> {
    let raw = serde_json::from_slice::<&RawValue>(text).ok().filter(|raw| is_object(raw));
    raw.ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, "the body of a result is to be a JSON object")
    })
}

fn is_object(raw: &RawValue) -> bool {
    raw.get().starts_with('{')
}

/// A field a line, what the backend gave as it came.
pub(super) fn write(file: &impl Serialize) -> Vec<u8> {
    // Writing to memory does not fail, and the structures above have no keys but strings.
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
            ("{\"id\":1,\"claimed_at\":\"\",\"finished_at\":\"\",\"result\":[]}", "no object"),
            ("{\"id\":1,\"claimed_at\":\"\",\"finished_at\":\"\",\"result\":{}} x", "trailing"),
        ] {
            let error = result(text.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
            assert!(claim(text.as_bytes()).is_err(), "{text}");
        }
    }
}
