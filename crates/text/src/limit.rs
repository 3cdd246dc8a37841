//! Limits that may be absent.

use serde::{Deserialize, Serialize};

use crate::units;

/// A limit that may be absent: `none` on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Limit<T>(pub Option<T>);

impl<T> Default for Limit<T> {
    /// No limit.
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Limit<T> {
    /// Reads `none`, or a value by `read`.
    ///
    /// # Errors
    /// The message of `read`, with `, or none` appended.
    pub fn parse(text: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Self, String> {
        if text.trim().eq_ignore_ascii_case("none") {
            return Ok(Self(None));
        }
        read(text).map(|value| Self(Some(value))).map_err(|expected| format!("{expected}, or none"))
    }
}

/// Reads a size of at least 1 MiB, or `none`.
///
/// # Errors
/// A message that describes what is expected.
pub fn limited_size(text: &str) -> Result<Limit<u64>, String> {
    const LEAST: u64 = 1 << 20;
    Limit::parse(text, |text| match units::size(text)? {
        bytes if bytes < LEAST => Err("expected at least 1M".to_owned()),
        bytes => Ok(bytes),
    })
}
