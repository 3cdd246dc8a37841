//! Tests that every report `tests/reports/<dialect>/NAME.xml` becomes the body in `NAME.json`. People wrote the bodies
//! from the contract; the runner did not generate them.

use std::fs;
use std::path::{Path, PathBuf};

use ostest_runner::cli::{Exit, parse_report};
use report::Limits;
use serde_json::Value;

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Compares the output and exit code of `runner parse-report` with the expected body.
fn compare(xml: &Path) -> Result<(), String> {
    let expected = xml.with_extension("json");
    let expected = fs::read(&expected).map_err(|e| format!("{}: {e}", expected.display()))?;
    let expected: Value = serde_json::from_slice(&expected).map_err(|e| format!("{}: {e}", xml.display()))?;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let args = parse_report::Args { files: vec![xml.to_owned()], id: None };
    let exit = parse_report::run(&args, &Limits::default(), &mut out, &mut err).unwrap();
    let printed: Value = serde_json::from_slice(&out).map_err(|e| format!("{}: {e}", xml.display()))?;
    if printed != expected {
        let printed = String::from_utf8_lossy(&out);
        return Err(format!("{}: expected\n{expected:#}\nbut the runner printed\n{printed}", xml.display()));
    }
    let passed = expected["isPassed"] == Value::Bool(true);
    if exit != Exit::of(passed) || !err.is_empty() {
        return Err(format!(
            "{}: exit code {}, {}",
            xml.display(),
            exit.code(),
            String::from_utf8_lossy(&err)
        ));
    }
    Ok(())
}

#[test]
fn every_report_dialect_becomes_contract_body() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reports");
    let (reports, others): (Vec<_>, Vec<_>) =
        files(&folder).into_iter().partition(|path| path.extension().is_some_and(|e| e == "xml"));
    assert!(reports.len() >= 40, "only {} reports in {}", reports.len(), folder.display());
    for other in others {
        let report = other.with_extension("xml");
        assert!(report.exists(), "{} has no report", other.display());
    }
    let wrong: Vec<String> = reports.iter().filter_map(|xml| compare(xml).err()).collect();
    assert!(wrong.is_empty(), "{} of {} reports:\n{}", wrong.len(), reports.len(), wrong.join("\n\n"));
}
