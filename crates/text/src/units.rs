//! Parses durations, sizes and counts as people write them: `5`, `0.1`, `500ms`, `10m`; `512MiB`, `16K`.

use std::time::Duration;

/// Limit of a duration in seconds: a year.
const MAX_SECONDS: f64 = 366.0 * 86_400.0;

/// Parses a duration: a number of seconds, or a number with `ms`, `s`, `m`, `h` or `d`.
///
/// # Errors
/// When the text has another form, or the duration is longer than a year. The text of the error names the forms.
pub fn duration(text: &str) -> Result<Duration, String> {
    const EXPECTED: &str = "expected seconds (5, 0.1) or a number with a unit (500ms, 30s, 10m, 2h, 1d)";
    let text = text.trim();
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit.trim() {
        "" | "s" | "sec" => 1.0,
        "ms" => 0.001,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return Err(EXPECTED.to_owned()),
    };
    let number = number.trim();
    let plain = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || c == '.');
    let seconds = number.parse::<f64>().ok().filter(|_| plain).ok_or(EXPECTED)? * scale;
    if seconds > MAX_SECONDS {
        return Err(format!("{EXPECTED}, at most a year"));
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// Parses a duration of at least 1 ms. A shorter interval would make a loop spin.
///
/// # Errors
/// As for [`duration`], and when the duration is shorter.
pub fn interval(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        d if d < Duration::from_millis(1) => {
            Err("expected an interval of at least 1ms (5, 0.1, 500ms, 10m)".to_owned())
        }
        d => Ok(d),
    }
}

/// Parses a size in bytes: a whole number, or a number with `K`, `M`, `G` or `T` (powers of 1024; `KiB` and `KB` are the
/// same).
///
/// # Errors
/// When the text has another form, the size is 0, or it does not fit 64 bits.
pub fn size(text: &str) -> Result<u64, String> {
    const EXPECTED: &str = "expected bytes (1048576) or a number with a unit (16K, 512MiB, 2G)";
    let text = text.trim();
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(EXPECTED.to_owned()),
    };
    let number: u64 = number.trim().parse().map_err(|_| EXPECTED.to_owned())?;
    number.checked_mul(1 << shift).filter(|&n| n > 0).ok_or_else(|| format!("{EXPECTED}, more than 0"))
}

/// Parses a whole number from `MIN` to `MAX`.
///
/// # Errors
/// When the text is not such a number.
pub fn count<const MIN: usize, const MAX: usize>(text: &str) -> Result<usize, String> {
    let number = text.trim().parse().ok().filter(|number| (MIN..=MAX).contains(number));
    number.ok_or_else(|| format!("expected a whole number from {MIN} to {MAX}"))
}

/// Parses the value of a switch from `--flag=TEXT`, the environment or a file.
///
/// # Errors
/// When the text is none of the words for on and off.
pub fn flag(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "" | "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("expected true, yes, on or 1; or false, no, off, 0 or nothing".to_owned()),
    }
}

/// Parses a size of at least 1 KiB, which a body needs.
///
/// # Errors
/// As for [`size`], and when the size is smaller.
pub fn kibibyte(text: &str) -> Result<u64, String> {
    size(text)
        .and_then(|bytes| if bytes < 1024 { Err("expected at least 1KiB".to_owned()) } else { Ok(bytes) })
}

/// Formats a duration for people: `340 ms`, `5 s`, `12.5 s`.
pub fn show(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 1.0 {
        format!("{} ms", duration.as_millis())
    } else if duration.subsec_millis() == 0 {
        format!("{} s", duration.as_secs())
    } else {
        format!("{seconds:.1} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        let cases = [
            ("5", 5_000),
            ("0.1", 100),
            ("500ms", 500),
            ("10m", 600_000),
            ("1.5h", 5_400_000),
            ("0", 0),
            ("2 s", 2_000),
        ];
        for (text, millis) in cases {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for wrong in ["", "abc", "-1", "5x", "1e3", "inf", "NaN", "m", "1.2.3", "99999d", "+5"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert!(interval("0").is_err());
    }

    #[test]
    fn counts_and_switches_say_what_is_taken() {
        assert_eq!(count::<1, 8>("8"), Ok(8));
        for wrong in ["0", "9", "-1", "x", "", "1.0"] {
            assert!(count::<1, 8>(wrong).unwrap_err().contains("from 1 to 8"), "{wrong}");
        }
        assert_eq!((flag("Yes"), flag(""), flag("0")), (Ok(true), Ok(false), Ok(false)));
        assert!(flag("perhaps").unwrap_err().contains("true"));
    }

    #[test]
    fn sizes_read_as_people_write_them() {
        for (text, bytes) in [("16K", 16 << 10), ("512MiB", 512 << 20), ("1", 1), ("2GB", 2 << 30)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for wrong in ["", "0", "-1", "1.5M", "12q", "99999999999T"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
