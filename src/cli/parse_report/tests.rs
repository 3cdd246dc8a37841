use std::fs;
use std::os::unix::fs::symlink;

use super::*;

const PASSES: &str = "<testsuite><testcase name='a'/></testsuite>";

fn printed(files: &[&Path], id: Option<&str>, stdin: &str) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let files: Vec<PathBuf> = files.iter().map(|file| file.to_path_buf()).collect();
    let code = run_with(&files, id, &Limits::default(), &mut stdin.as_bytes(), &mut out, &mut err).unwrap();
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

#[test]
fn exit_code_is_worst_of_files() {
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
fn reads_standard_input_and_id() {
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
