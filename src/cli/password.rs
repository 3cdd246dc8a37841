//! Keeps the password out of `ps`, and the runner's memory out of reach of other processes.

use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;

use nix::sys::memfd::{MFdFlags, memfd_create};

/// Makes the memory and the descriptors of this process unreadable for other programs of the same user. Programs that
/// it executes later are not affected.
pub fn seal_memory() {
    // If the kernel refuses, `hide` still keeps the password out of `ps`.
    nix::sys::prctl::set_dumpable(false).ok();
}

/// Executes the program again without `--password`, with the password in an inherited memory file. Returns only if
/// `--password` is not on the command line.
///
/// # Errors
/// The memory file cannot be made, or the program cannot be executed again; the message is one line.
pub fn hide(arguments: &[OsString]) -> Result<(), String> {
    let Some((rest, password)) = split_password(arguments) else { return Ok(()) };
    let execute_again = || -> std::io::Result<()> {
        let mut file = File::from(memfd_create(c"password", MFdFlags::empty())?);
        file.write_all(password.as_bytes())?;
        file.rewind()?;
        let (program, rest) = rest.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
        let descriptor = OsString::from(format!("--password-fd={}", file.as_raw_fd()));
        let rest: Vec<CString> = [program, &descriptor]
            .into_iter()
            .chain(rest)
            .map(|word| CString::new(word.as_bytes()))
            .collect::<Result<_, _>>()?;
        // Not `current_exe`: after an upgrade in place its path names another program, or none.
        nix::unistd::execv(c"/proc/self/exe", &rest)?;
        Ok(())
    };
    execute_again().map_err(|error| format!("--password: cannot be removed from the command line: {error}"))
}

/// Splits the command line into the words without `--password`, and the last password.
fn split_password(arguments: &[OsString]) -> Option<(Vec<OsString>, OsString)> {
    let mut rest = Vec::new();
    let mut password = None;
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            rest.push(word.clone());
            rest.extend(words.cloned());
            break;
        }
        if let Some(value) = word.as_bytes().strip_prefix(b"--password=") {
            password = Some(OsStr::from_bytes(value).to_owned());
        } else if word == "--password" {
            // Without a value it stays, and the parser reports the missing value.
            match words.next() {
                Some(value) => password = Some(value.clone()),
                None => rest.push(word.clone()),
            }
        } else {
            rest.push(word.clone());
        }
    }
    password.map(|password| (rest, password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_every_form_of_the_flag() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        for (line, without, password) in [
            ("runner --auth --password secret demo", "runner --auth demo", "secret"),
            ("runner --password=a --password=b", "runner", "b"),
            ("runner --password -x run", "runner run", "-x"),
        ] {
            assert_eq!(
                split_password(&words(line)),
                Some((words(without), OsString::from(password))),
                "{line}"
            );
        }
        for line in ["runner --password-file x", "runner run -- --password x", "runner --password"] {
            assert_eq!(split_password(&words(line)), None, "{line}");
        }
    }
}
