//! Keeps the password out of `ps` and the runner's memory out of other processes' reach.

use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;

use nix::sys::memfd::{MFdFlags, memfd_create};

/// Makes this process's memory and descriptors unreadable for other programs of the same user. What it executes later
/// is not affected.
pub fn seal() {
    // Where the kernel refuses, there is still no password in plain view.
    nix::sys::prctl::set_dumpable(false).ok();
}

/// Where `--password` is on the command line, executes the program again at once without it, the password in an
/// inherited memory file. Returns where there is nothing to hide.
pub fn hide(arguments: &[OsString]) -> Result<(), String> {
    let Some((rest, password)) = take(arguments) else { return Ok(()) };
    let execute_again = || -> std::io::Result<()> {
        let mut file = File::from(memfd_create(c"password", MFdFlags::empty())?);
        file.write_all(password.as_bytes())?;
        file.rewind()?;
        let (program, rest) = rest.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
        let handed_over = OsString::from(format!("--password-fd={}", file.as_raw_fd()));
        let rest: Vec<CString> = [program, &handed_over]
            .into_iter()
            .chain(rest)
            .map(|word| CString::new(word.as_bytes()))
            .collect::<Result<_, _>>()?;
        // Not current_exe: after an upgrade in place that path is another program, or none.
        nix::unistd::execv(c"/proc/self/exe", &rest)?;
        Ok(())
    };
    execute_again().map_err(|error| format!("--password: cannot be taken out of the command line: {error}"))
}

/// The command line without `--password`, and the last password it had.
fn take(arguments: &[OsString]) -> Option<(Vec<OsString>, OsString)> {
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
            // Without a value it stays, and the command line's reader says so.
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
    fn every_form_of_the_flag_is_taken_out() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        for (line, without, password) in [
            ("runner --auth --password secret demo", "runner --auth demo", "secret"),
            ("runner --password=a --password=b", "runner", "b"),
            ("runner --password -x run", "runner run", "-x"),
        ] {
            assert_eq!(take(&words(line)), Some((words(without), OsString::from(password))), "{line}");
        }
        for line in ["runner --password-file x", "runner run -- --password x", "runner --password"] {
            assert_eq!(take(&words(line)), None, "{line}");
        }
    }
}
