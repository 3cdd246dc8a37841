//! Reads the password of the backend.

use std::fs::File;
use std::io::Read;
use std::os::fd::FromRawFd;
use std::path::Path;

use anyhow::{Context, ensure};
use secrecy::SecretString;

use super::bounded;
use crate::backend;

/// Largest password file, in bytes.
const MAX_PASSWORD: u64 = 64 << 10;

/// Reads the password from a file, or from the descriptor that the runner made for itself. None if the settings name
/// neither.
///
/// # Errors
/// The file or the descriptor cannot be read, or is empty. The message names the option.
pub fn read_passwords(settings: &backend::Settings) -> anyhow::Result<Option<SecretString>> {
    if let Some(file) = &settings.password_file {
        return read_password(file).map(Some).with_context(|| format!("--password-file {}", file.display()));
    }
    settings.password_fd.map(|number| read_descriptor(number).context("--password-fd")).transpose()
}

fn read_password(file: &Path) -> anyhow::Result<SecretString> {
    let (text, _) = bounded::read(file, MAX_PASSWORD)?;
    // Editors and `echo` end a file with a newline, which is not part of the password.
    let text = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    ensure!(!text.is_empty(), "it is empty");
    Ok(SecretString::from(text))
}

#[expect(unsafe_code, reason = "this program made the descriptor before it executed itself again")]
fn read_descriptor(number: i32) -> anyhow::Result<SecretString> {
    ensure!(number >= 3, "only the runner itself may use it");
    // SAFETY: `cli::password` passes the number of a memory file that nothing else in this process uses.
    let mut file = unsafe { File::from_raw_fd(number) };
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(SecretString::from(text))
}
