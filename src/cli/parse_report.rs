//! `runner parse-report FILE...`: prints the result that would be posted for each report, so that a suite's report
//! can be tried without a backend. Nothing is sent.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::value::RawValue;

use crate::backend::wire::result_body_pretty;
use crate::cli::Exit;
use crate::task::TaskId;
use report::junit::{self, JunitError};
use report::{Limits, Report, Verdict};

/// Arguments of `runner parse-report`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Report files; - for stdin
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Id to put into the body: JSON, or else a string [default: null]
    #[arg(long, allow_hyphen_values = true)]
    pub id: Option<String>,
}

/// Prints a body for each file to `out`, in the given order, as indented JSON. `-` is stdin. A path may lead through
/// symbolic links, because the user has named it.
///
/// An id that is JSON (`21`, `"3fa8…"`, `{"a": 1}`) goes into the body as it stands. Any other text becomes a string, so
/// that a UUID needs no quotes.
///
/// Returns the exit code of the worst file: [`Exit::Failure`] if a report did not pass, is broken or is not `JUnit`
/// (its body has `isError`), [`Exit::Unusable`] if a file cannot be read, with one line to `err` for each such file.
///
/// # Errors
/// `out` or `err` cannot be written to.
pub fn run(args: &Args, limits: &Limits, out: &mut impl Write, err: &mut impl Write) -> io::Result<Exit> {
    run_with(args, limits, &mut io::stdin().lock(), out, err)
}

fn run_with(
    args: &Args,
    limits: &Limits,
    stdin: &mut impl Read,
    out: &mut impl Write,
    err: &mut impl Write,
) -> io::Result<Exit> {
    let id = task_id(args.id.as_deref());
    let mut exit = Exit::Success;
    for file in &args.files {
        let read = if file.as_os_str() == "-" {
            junit::read(stdin.by_ref().take(limits.max_report), limits)
        } else {
            read_file(file, limits)
        };
        let report = match read {
            Ok(report) => report,
            Err(error) if error.is_unreadable() => {
                writeln!(err, "{}: {error}", file.display())?;
                exit = Exit::Unusable;
                continue;
            }
            Err(error) => Report::of_fault(error.fault(), Duration::ZERO),
        };
        if report.verdict() != Verdict::Success {
            exit = exit.max(Exit::Failure);
        }
        out.write_all(&result_body_pretty(&id, &report, limits))?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(exit)
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
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    const PASSES: &str = "<testsuite><testcase name='a'/></testsuite>";

    fn printed(files: &[&Path], id: Option<&str>, stdin: &str) -> (u8, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let files = files.iter().map(|file| file.to_path_buf()).collect();
        let args = Args { files, id: id.map(str::to_owned) };
        let exit = run_with(&args, &Limits::default(), &mut stdin.as_bytes(), &mut out, &mut err).unwrap();
        (exit.code(), String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn exit_code_is_that_of_the_worst_file() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let passes = at("passes", PASSES);
        let fails = at("fails", "<testsuite><testcase name='a'><failure/></testcase></testsuite>");
        let broken = at("broken", "no xml");
        let missing = folder.path().join("missing");
        let linked = folder.path().join("linked");
        symlink(&passes, &linked).unwrap();
        for (files, expected, documents, lines) in [
            (vec![passes.as_path()], 0, 1, 0),
            (vec![&linked], 0, 1, 0),
            (vec![&passes, &fails], 1, 2, 0),
            (vec![&broken], 1, 1, 0),
            (vec![&missing, &passes, folder.path()], 2, 1, 2),
            (vec![], 0, 0, 0),
        ] {
            let (code, out, err) = printed(&files, None, "");
            let read = serde_json::Deserializer::from_str(&out).into_iter::<serde_json::Value>().count();
            assert_eq!(
                (code, read, err.lines().count()),
                (expected, documents, lines),
                "{files:?}\n{out}\n{err}"
            );
        }
        let (_, _, err) = printed(&[&missing], None, "");
        assert_eq!(err, format!("{}: there is no report file\n", missing.display()));
        let (_, out, _) = printed(&[&broken], None, "");
        assert!(out.contains("\"isError\": true") && out.contains("the report is no XML"), "{out}");
    }

    #[test]
    fn reads_stdin_and_puts_id_into_body() {
        for (id, expected) in [
            (None, "null"),
            (Some("21"), "21"),
            (Some("\"x\""), "\"x\""),
            (Some("1.0"), "1.0"),
            (Some("3fa85f64-5717-4562-b3fc-2c963f66afa6"), "\"3fa85f64-5717-4562-b3fc-2c963f66afa6\""),
            (Some(""), "\"\""),
        ] {
            let (code, out, _) = printed(&[Path::new("-")], id, PASSES);
            assert_eq!(code, 0);
            assert!(out.starts_with(&format!("{{\n  \"id\": {expected},\n  \"isPassed\": true")), "{out}");
        }
    }
}
