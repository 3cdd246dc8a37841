//! Times as people read them and `ls` sorts them: UTC, RFC 3339 with milliseconds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `2026-11-22T07:47:14.123Z`. Times before 1970 are shown as 1970.
pub fn show(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = date(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        second / 3_600,
        second / 60 % 60,
        second % 60,
        since.subsec_millis()
    )
}

/// A new file name without its ending, sorted by time and never the same twice: `2026-11-22T07-47-14.123Z-9f86d081`.
pub(super) fn name(time: SystemTime) -> String {
    // Colons would make a host name of it for scp and rsync.
    format!("{}-{:08x}", show(time).replace(':', "-"), fastrand::u32(..))
}

/// Reads what [`show`] wrote, or the beginning of what [`name`] did. The fraction may be missing.
pub(super) fn parse(text: &str) -> Option<SystemTime> {
    let number =
        |range| text.get(range).filter(|part: &&str| part.bytes().all(|b| b.is_ascii_digit()))?.parse().ok();
    let (year, month, day): (u64, u64, u64) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second): (u64, u64, u64) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let in_range = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 61;
    if !in_range || text.get(10..11) != Some("T") {
        return None;
    }
    let seconds = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    let millis = if text.get(19..20) == Some(".") { number(20..23).unwrap_or(0) } else { 0 };
    Some(UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_millis(millis))
}

/// Year, month and day of a count of days since 1970 (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let (day, month) =
        (day_of_year - (153 * shifted + 2) / 5 + 1, if shifted < 10 { shifted + 3 } else { shifted - 9 });
    (year + era * 400 + u64::from(month <= 2), month, day)
}

/// The reverse of [`date`].
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = year - u64::from(month <= 2);
    let (era, year_of_era) = (year / 400, year % 400);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_and_read_back() {
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
        for wrong in [
            "",
            "backup",
            "2026-13-01T00:00:00Z",
            "2026-01-01",
            "2026-01-01 00:00:00Z",
            "+026-01-01T00:00:00Z",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
