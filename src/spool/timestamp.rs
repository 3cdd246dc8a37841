//! Times for people and for sorted file names: UTC, RFC 3339 with milliseconds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Formats a time such as `2026-11-22T07:47:14.123Z`. Times before 1970 become 1970, those after 9999 the last of 9999.
pub fn show(time: SystemTime) -> String {
    let time = Timestamp::try_from(time.max(UNIX_EPOCH)).unwrap_or(Timestamp::MAX);
    format!("{time:.3}")
}

/// Makes a unique file name without extension that sorts by time, such as `2026-11-22T07-47-14.123Z-9f86d081`.
pub(super) fn name(time: SystemTime) -> String {
    // scp and rsync would take the part before a colon for a host name.
    format!("{}-{:08x}", show(time).replace(':', "-"), fastrand::u32(..))
}

/// Parses the output of [`show`], or the beginning of a [`name`]. The fraction may be missing.
pub(super) fn parse(text: &str) -> Option<SystemTime> {
    let (date, time) = (text.get(..10)?, text.get(11..19)?.replace('-', ":"));
    if text.get(10..11) != Some("T") {
        return None;
    }
    let fraction = text.get(19..23).filter(|fraction| fraction.starts_with('.')).unwrap_or_default();
    let time: DateTime = format!("{date}T{time}{fraction}").parse().ok()?;
    let time = TimeZone::UTC.to_timestamp(time).ok()?;
    // Fails for times before 1970.
    let millis = u64::try_from(time.as_millisecond()).ok()?;
    Some(UNIX_EPOCH + Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_and_parses_times() {
        for (seconds, shown) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (1_000_000_000, "2001-09-09T01:46:40.007Z"),
            (4_102_444_799, "2099-12-31T23:59:59.007Z"),
        ] {
            let time = UNIX_EPOCH + Duration::from_millis(seconds * 1_000 + 7);
            assert_eq!(show(time), shown);
            assert_eq!(parse(shown), Some(time));
            assert_eq!(parse(&name(time)), Some(time));
        }
        assert_eq!(parse("1970-01-01T00:00:05Z"), Some(UNIX_EPOCH + Duration::from_secs(5)));
        assert_eq!(show(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00.000Z");
        assert_eq!(show(UNIX_EPOCH + Duration::from_micros(999_999)), "1970-01-01T00:00:00.999Z");
        for wrong in [
            "",
            "backup",
            "2026-13-01T00:00:00Z",
            "2026-01-01",
            "2026-01-01 00:00:00Z",
            "+026-01-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
