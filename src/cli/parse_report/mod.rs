//! `runner parse-report FILE...`: prints the result that would be posted for each report, so that a suite's report
//! can be tried without a backend. Nothing is sent.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::value::RawValue;

use crate::backend::wire::result_body_pretty;
use crate::task::TaskId;
use report::junit::{self, JunitError};
use report::{Limits, Report, Verdict};

/// All reports passed.
const PASSED: u8 = 0;
/// Some report did not pass, or is broken, or is none.
const NOT_PASSED: u8 = 1;
/// Some file could not be read; nothing is printed for it.
const UNREADABLE: u8 = 2;

/// Prints a body for each file, in the order given, as indented JSON. `-` is the standard input.
///
/// `id` is taken as JSON (`21`, `"3fa8…"`, `{"a": 1}`) and goes into the body as it stands; what is no JSON is taken as
/// a string, so that a UUID needs no quotes; without one the body's id is `null`.
///
/// Gives the exit code: 0 where all passed, 1 where one did not (a report that is broken or no `JUnit` report is a body
/// with `isError`), 2 where a file cannot be read, with one line for each such file written to `err`.
/// A path may lead through symbolic links, for it is the user's own.
pub fn run(
    files: &[PathBuf],
    id: Option<&str>,
    limits: &Limits,
    out: &mut impl Write,
    err: &mut impl Write,
) -> io::Result<u8> {
    run_with(files, id, limits, &mut io::stdin().lock(), out, err)
}

fn run_with(
    files: &[PathBuf],
    id: Option<&str>,
    limits: &Limits,
    stdin: &mut impl Read,
    out: &mut impl Write,
    err: &mut impl Write,
) -> io::Result<u8> {
    let id = task_id(id);
    let mut code = PASSED;
    for file in files {
        let read = if file.as_os_str() == "-" {
            junit::read(stdin.by_ref().take(limits.max_report), limits)
        } else {
            read_file(file, limits)
        };
        let report = match read {
            Ok(report) => report,
            Err(error) if error.is_unreadable() => {
                writeln!(err, "{}: {error}", file.display())?;
                code = UNREADABLE;
                continue;
            }
            Err(error) => Report::of_fault(error.fault(), Duration::ZERO),
        };
        if report.verdict() != Verdict::Success {
            code = code.max(NOT_PASSED);
        }
        out.write_all(&result_body_pretty(&id, &report, limits))?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(code)
}

fn read_file(file: &Path, limits: &Limits) -> Result<Report, JunitError> {
    let resolved = file.canonicalize().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => JunitError::Missing,
        _ => JunitError::Open(error),
    })?;
    junit::read_file(&resolved, None, limits)
}

fn task_id(text: Option<&str>) -> TaskId {
    let raw = text.map(|text| {
        RawValue::from_string(text.trim().to_owned()).unwrap_or_else(|_| {
            RawValue::from_string(serde_json::Value::from(text).to_string()).unwrap_or_default()
        })
    });
    TaskId::new(raw.unwrap_or_default())
}

#[cfg(test)]
mod tests;
