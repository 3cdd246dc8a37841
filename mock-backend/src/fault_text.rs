//! The text notation of faults, used by `--fault`, the admin API and request records: `ENDPOINT:KIND[:COUNT[@SKIP]]`.
//! For example `claim:status=503`, `result:429,Retry-After=5:3`, `any:delay=2s:forever`, `result:drop-after:2@1`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::fault::{Endpoint, Fault, FaultKind, Times};

/// The kinds, for error messages.
const KINDS: &str = "status=CODE[,Header=Value], delay=TIME, late=TIME, drop-before, drop-after, cut, garbage, html, \
                     empty, redirect=URL, drip=TIME, endless";

/// Error of parsing a fault or a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultTextError {
    /// The colon after the endpoint is missing.
    #[error("invalid fault `{0}`: expected ENDPOINT:KIND[:COUNT[@SKIP]], for example result:status=503:3")]
    Form(String),
    /// Unknown endpoint.
    #[error("unknown endpoint `{0}`: expected one of claim, result, login, refresh, any")]
    Endpoint(String),
    /// Unknown kind.
    #[error("unknown fault kind `{0}`: expected one of {KINDS}")]
    Kind(String),
    /// Invalid duration.
    #[error("invalid duration `{0}`: expected a number with ms, s, m, h or d, for example 500ms")]
    Duration(String),
}

/// Parses a duration: `500ms`, `2s`, `15m`, `1h`, `30d`; a number without a unit is in seconds.
///
/// # Errors
/// [`FaultTextError::Duration`] if the text has another form or the duration overflows.
pub fn parse_duration(text: &str) -> Result<Duration, FaultTextError> {
    let invalid = || FaultTextError::Duration(text.to_owned());
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| invalid())?;
    let unit_ms = match &text[digits..] {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(invalid()),
    };
    number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(invalid)
}

impl FromStr for Endpoint {
    type Err = FaultTextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Claim, Self::Result, Self::Login, Self::Refresh, Self::Any];
        let found = all.into_iter().find(|endpoint| endpoint.to_string() == text);
        found.ok_or_else(|| FaultTextError::Endpoint(text.to_owned()))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Claim => "claim",
            Self::Result => "result",
            Self::Login => "login",
            Self::Refresh => "refresh",
            Self::Any => "any",
        })
    }
}

impl FromStr for FaultKind {
    type Err = FaultTextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        Ok(match (name, value) {
            ("delay", value) => Self::Delay(parse_duration(value)?),
            ("late", value) => Self::Late(parse_duration(value)?),
            ("drip", value) => Self::Drip(parse_duration(value)?),
            ("redirect", value) if !value.is_empty() => Self::Redirect(value.to_owned()),
            ("drop-before", "") => Self::DropBefore,
            ("drop-after", "") => Self::DropAfter,
            ("cut", "") => Self::CutBody,
            ("garbage", "") => Self::Garbage,
            ("html", "") => Self::Html200,
            ("empty", "") => Self::Empty,
            ("endless", "") => Self::Endless,
            _ => status(text.strip_prefix("status=").unwrap_or(text))
                .ok_or_else(|| FaultTextError::Kind(text.to_owned()))?,
        })
    }
}

/// Parses `503` or `429,Retry-After=5`.
fn status(text: &str) -> Option<FaultKind> {
    let mut parts = text.split(',');
    let status = parts.next()?.parse().ok().filter(|status| (200..600).contains(status))?;
    let headers =
        parts.map(|part| part.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())));
    Some(FaultKind::Status(status, headers.collect::<Option<_>>()?))
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status, headers) => {
                write!(f, "status={status}")?;
                headers.iter().try_for_each(|(name, value)| write!(f, ",{name}={value}"))
            }
            Self::Delay(time) => write!(f, "delay={}ms", time.as_millis()),
            Self::Late(time) => write!(f, "late={}ms", time.as_millis()),
            Self::Drip(time) => write!(f, "drip={}ms", time.as_millis()),
            Self::Redirect(location) => write!(f, "redirect={location}"),
            Self::DropBefore => f.write_str("drop-before"),
            Self::DropAfter => f.write_str("drop-after"),
            Self::CutBody => f.write_str("cut"),
            Self::Garbage => f.write_str("garbage"),
            Self::Html200 => f.write_str("html"),
            Self::Empty => f.write_str("empty"),
            Self::Endless => f.write_str("endless"),
        }
    }
}

impl FromStr for Fault {
    type Err = FaultTextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (endpoint, rest) = text.split_once(':').ok_or_else(|| FaultTextError::Form(text.to_owned()))?;
        let endpoint = endpoint.parse()?;
        // The count is split off at the last colon, because the URL of a redirect contains colons.
        let counted = rest.rsplit_once(':').and_then(|(kind, count)| Some((kind, parse_count(count)?)));
        let (kind, (times, skip)) = counted.unwrap_or((rest, (Times::Count(1), 0)));
        Ok(Self { endpoint, kind: kind.parse()?, times, skip })
    }
}

/// Parses `3`, `forever` or `3@1`.
fn parse_count(text: &str) -> Option<(Times, usize)> {
    let (times, skip) = text.split_once('@').unwrap_or((text, "0"));
    let times = if times == "forever" { Times::Forever } else { Times::Count(times.parse().ok()?) };
    Some((times, skip.parse().ok()?))
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:", self.endpoint, self.kind)?;
        match self.times {
            Times::Count(count) => write!(f, "{count}")?,
            Times::Forever => f.write_str("forever")?,
        }
        if self.skip == 0 { Ok(()) } else { write!(f, "@{}", self.skip) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_round_trips() {
        for text in [
            "claim:status=503:1",
            "result:status=429,Retry-After=5:3",
            "login:delay=1500ms:forever",
            "refresh:late=20ms:1@2",
            "any:drop-before:2",
            "claim:drop-after:1",
            "claim:cut:1",
            "claim:garbage:1",
            "claim:html:1",
            "claim:empty:1",
            "claim:redirect=http://127.0.0.1:9/x:1",
            "claim:drip=5ms:1",
            "claim:endless:forever@1",
        ] {
            assert_eq!(text.parse::<Fault>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn count_and_status_keyword_are_optional() {
        assert_eq!("claim:503".parse(), Ok(Fault::new(Endpoint::Claim, FaultKind::status(503))));
        let redirect = "claim:redirect=http://a:80/".parse::<Fault>().unwrap();
        assert_eq!(redirect.kind, FaultKind::Redirect("http://a:80/".into()));
        assert_eq!(redirect.times, Times::Count(1));
    }

    #[test]
    fn errors_name_the_invalid_part() {
        let error = |text: &str| text.parse::<Fault>().unwrap_err();
        assert_eq!(error("claim"), FaultTextError::Form("claim".into()));
        assert_eq!(error("clam:503"), FaultTextError::Endpoint("clam".into()));
        assert_eq!(error("claim:drip"), FaultTextError::Duration(String::new()));
        for kind in ["nonsense", "42", "600", "cut=1", "redirect=", "503,Retry-After", "503:x"] {
            assert_eq!(error(&format!("claim:{kind}")), FaultTextError::Kind(kind.into()));
        }
        assert!(error("claim:nonsense").to_string().contains("status=CODE"));
    }

    #[test]
    fn parses_durations() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("2"), Ok(Duration::from_secs(2)));
        assert_eq!(parse_duration("30d"), Ok(Duration::from_secs(30 * 86_400)));
        for text in ["", "s", "1w", "-1s", "1.5s", "99999999999999999999", "999999999999999999d"] {
            assert_eq!(parse_duration(text), Err(FaultTextError::Duration(text.into())));
        }
    }
}
