use std::fs;
use std::io::{self, Cursor, Read};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use proptest::prelude::*;

use super::*;
use crate::{Limits, Outcome, Report};

fn read_text(text: &str) -> Report {
    read(text.as_bytes(), &Limits::default()).unwrap()
}

/// A document made while it is read: `open`, so many times `part`, `close`.
fn generated(
    open: &'static str,
    part: impl Fn(usize) -> String,
    times: usize,
    close: &'static str,
) -> impl Read {
    struct Parts<F> {
        part: F,
        next: usize,
        times: usize,
        now: Cursor<Vec<u8>>,
    }
    impl<F: Fn(usize) -> String> Read for Parts<F> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            loop {
                let read = self.now.read(out)?;
                if read > 0 || self.next == self.times {
                    return Ok(read);
                }
                self.now = Cursor::new((self.part)(self.next).into_bytes());
                self.next += 1;
            }
        }
    }
    let parts = Parts { part, next: 0, times, now: Cursor::default() };
    open.as_bytes().chain(parts).chain(close.as_bytes())
}

#[test]
fn large_report_is_counted_whole_and_limited() {
    let filler = "x".repeat(400);
    let part = |i: usize| match i % 10 {
        0 => format!(
            "<testcase classname='c' name='f{i}'><failure message='m'>{filler}</failure></testcase>\n"
        ),
        _ => format!(
            "<testcase classname='c' name='p{i}' time='0.001'><system-out>{filler}</system-out></testcase>\n"
        ),
    };
    let limits = Limits { max_cases: 5_000, ..Limits::default() };
    let report = read(generated("<testsuite>", part, 45_000, "</testsuite>"), &limits).unwrap();
    assert_eq!((report.tally.passed, report.tally.failed), (40_500, 4_500));
    assert_eq!(report.cases.len(), 5_000);
    assert_eq!(report.cases.iter().filter(|case| case.outcome == Outcome::Failed).count(), 4_500);
    assert_eq!(report.cut.as_deref(), Some("40,000 of 45,000 cases left out, those that passed first"));
    assert_eq!(report.duration.as_millis(), 40_500);
    // The first 500 that passed, and every one that failed, in report order.
    let numbers: Vec<u32> = report.cases.iter().map(|case| case.name[4..].parse().unwrap()).collect();
    assert!(numbers.is_sorted() && numbers[..10] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn bounds_memory_of_any_report() {
    let text = "y".repeat(15_000);
    let part = |i: usize| format!("<testcase name='f{i}'><error>{text}</error></testcase>");
    let limits = Limits { max_body: 1 << 20, ..Limits::default() };
    let report = read(generated("<testsuite>", part, 2_000, "</testsuite>"), &limits).unwrap();
    let kept: usize = report.cases.iter().map(|case| case.name.len() + case.description.len()).sum();
    assert!(kept <= 2 << 20, "{kept}");
    assert_eq!((report.cases.len(), report.tally.errored), (2_000, 2_000));
    assert!(report.cases[7].description.contains("bytes cut"), "{}", report.cases[7].description);
}

#[test]
fn a_text_of_50_mb_keeps_its_ends() {
    let lines: Vec<String> =
        (0..1_000).map(|i| format!("line {i} &amp; more of it, zeile für zeile\n")).collect();
    let block = lines.concat();
    let lines = |_| block.clone();
    let limits = Limits { max_description: 100 << 10, ..Limits::default() };
    for (open, close) in [
        ("<testsuite><testcase name='a'><failure>", "E   the end</failure></testcase></testsuite>"),
        (
            "<testsuite><testcase name='a'><failure><![CDATA[",
            "E   the end]]></failure></testcase></testsuite>",
        ),
        ("<testsuite><testcase name='a'><failure message=\"", "E   the end\"/></testcase></testsuite>"),
    ] {
        let report = read(generated(open, lines, 1_200, close), &limits).unwrap();
        assert_eq!((report.fault, report.tally.failed), (None, 1), "{open}");
        let description = &report.cases[0].description;
        assert!(description.starts_with("line 0 &"), "{open}: {}", &description[..100]);
        assert!(description.ends_with("E   the end"), "{open}");
        assert!(description.len() > 55_000 && description.len() < 70_000, "{open}: {}", description.len());
        assert_eq!(description.matches(" bytes cut …]\n").count(), 1, "{open}");
        assert!(!description.contains('\u{fffd}'), "{open}");
    }
}

#[test]
fn many_pieces_in_one_case_are_bounded_too() {
    let pieces = |i: usize| {
        format!("<failure message='{i}'><![CDATA[{}]]>{}</failure>", "z".repeat(900), "w".repeat(900))
    };
    let open = "<testsuite><testcase name='a'>";
    let limits = Limits { max_description: u64::MAX, ..Limits::default() };
    let report = read(generated(open, pieces, 2_000, "</testcase></testsuite>"), &limits).unwrap();
    assert_eq!(report.cases.len(), 1);
    assert!(report.cases[0].description.len() < 300 << 10, "{}", report.cases[0].description.len());
}

#[test]
fn rejects_too_deep_and_too_long() {
    for (text, why) in [
        ("<testsuite>".repeat(1_001), "nested deeper"),
        (format!("<testsuite {}>", "a='b' ".repeat(200_000)), "a tag of more than 1 MiB"),
        (format!("<testsuite><{}", "a".repeat(2 << 20)), "a tag of more than 1 MiB"),
    ] {
        let error = match read(text.as_bytes(), &Limits::default()) {
            Ok(report) => report.fault.unwrap().message,
            Err(error) => error.to_string(),
        };
        assert!(error.contains(why), "{error}");
    }
    let deep = format!("{}<testcase name='a'/>{}", "<testsuite>".repeat(900), "</testsuite>".repeat(900));
    assert_eq!(read_text(&deep).fault, None);
}

#[test]
fn a_name_is_one_bounded_line() {
    let name = "ä".repeat(2_000);
    let report =
        read_text(&format!("<testsuite><testcase classname='tests.' name='a&#10;\tb {name}'/></testsuite>"));
    let name = &report.cases[0].name;
    assert!(name.len() <= 1 << 10 && name.starts_with("a b ä") && name.contains(" … "), "{name}");
}

#[test]
fn error_position_counts_skipped_bytes() {
    let text = format!("<testsuite><!--{}--><testcase name='a'><failure>", "-".repeat(200_000));
    let fault = read_text(&text).fault.unwrap();
    assert!(fault.message.contains("at byte 200,046, after 0 cases; a had begun"), "{}", fault.message);
}

#[test]
fn only_a_regular_file_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("report"), "<testsuite><testcase name='a'/></testsuite>").unwrap();
    fs::create_dir(at("folder")).unwrap();
    symlink(at("report"), at("link")).unwrap();
    mkfifo(&at("fifo"), Mode::S_IRWXU).unwrap();
    let _listener = UnixListener::bind(at("socket")).unwrap();
    let limits = Limits::default();
    assert_eq!(read_file(&at("report"), None, &limits).unwrap().tally.passed, 1);
    for (path, expected) in [
        (at("nothing"), "there is no report file"),
        (at("folder"), "the report is a directory, not a regular file"),
        (at("link"), "the report is a symbolic link, not a regular file"),
        (at("fifo"), "the report is a FIFO, not a regular file"),
        (at("socket"), "the report is a socket, not a regular file"),
        ("/dev/null".into(), "the report is a device, not a regular file"),
    ] {
        let error = read_file(&path, None, &limits).unwrap_err();
        assert!(error.is_unreadable());
        assert_eq!(error.to_string(), expected);
    }
    let own = nix::unistd::geteuid().as_raw();
    assert!(read_file(&at("report"), Some(own), &limits).is_ok());
    assert!(matches!(read_file(&at("report"), Some(own + 1), &limits), Err(JunitError::Foreign)));
    let error = read_file(&at("report"), None, &Limits { max_report: 10, ..limits }).unwrap_err();
    assert_eq!(error.to_string(), "the report has 43 bytes, more than the limit of 10");
}

#[test]
fn a_disk_that_fails_is_no_cut_report() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("bad sector"))
        }
    }
    // Within what is looked at for the encoding, and far behind it.
    for cases in [1, 10_000] {
        let begun = format!("<testsuite>{}", "<testcase/>".repeat(cases));
        let error = read(begun.as_bytes().chain(Failing), &Limits::default()).unwrap_err();
        assert!(error.is_unreadable() && error.to_string().contains("bad sector"), "{error}");
    }
}

/// The reports that the integration test reads, to be damaged.
fn real_reports() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reports");
    let folders = fs::read_dir(folder).unwrap().map(|folder| folder.unwrap().path());
    let files = folders.flat_map(|folder| fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()));
    let reports = files.filter(|file| file.extension().is_some_and(|e| e == "xml"));
    reports.map(|file| fs::read(file).unwrap()).collect()
}

/// Holds for every report, however it came about.
fn check_bounds(report: &Report, limits: &Limits) {
    assert!(report.cases.len() <= limits.max_cases);
    for case in &report.cases {
        assert!(case.name.len() <= 1 << 10 && case.description.len() as u64 <= limits.max_description);
        assert_eq!(case.description.is_empty(), case.outcome == Outcome::Passed, "{case:?}");
        let storable = |c: char| c == '\n' || c == '\t' || !c.is_control();
        assert!(case.description.chars().all(storable) && case.name.chars().all(|c| !c.is_control()));
    }
}

proptest! {
    #[test]
    fn any_bytes_give_a_report_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let limits = Limits { max_cases: 2, max_description: 20, ..Limits::default() };
        if let Ok(report) = read(&bytes[..], &limits) {
            check_bounds(&report, &limits);
        }
    }

    #[test]
    fn any_markup_gives_report_or_error(
        parts in prop::collection::vec(prop::sample::select(vec![
            "<testsuite>", "</testsuite>", "<testsuite tests='3' errors='1'>", "<testcase name='a'>", "</testcase>",
            "<testcase/>", "<failure message='m", "<failure>", "</failure>", "'>", "<error/>", "<skipped/>", "<![CDATA[",
            "]]>", "<!--", "-->", "<?x", "?>", "<!DOCTYPE a [", "]>", "&amp;", "&", ";", "&#0;", "text", "\"", "<", ">", "\n",
            "\u{1b}[3", "1m", "é", "\0", "<rerunError>", "</rerunError>", "<system-out>", "</system-out>",
        ]), 0..60)
    ) {
        let limits = Limits { max_cases: 3, max_description: 40, ..Limits::default() };
        if let Ok(report) = read(format!("<testsuite>{}", parts.concat()).as_bytes(), &limits) {
            check_bounds(&report, &limits);
        }
    }

    #[test]
    fn damaged_report_gives_report_or_error(
        which in any::<prop::sample::Index>(),
        damages in prop::collection::vec((any::<prop::sample::Index>(), 0..4_u8, any::<u8>()), 1..6),
    ) {
        let reports = real_reports();
        let mut bytes = which.get(&reports).clone();
        for (place, kind, byte) in damages {
            let at = place.index(bytes.len() + 1);
            match kind {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, byte),
                2 => drop(bytes.drain(at..(at + usize::from(byte)).min(bytes.len()))),
                _ => if let Some(hit) = bytes.get_mut(at) { *hit ^= byte },
            }
        }
        let limits = Limits { max_cases: 4, max_description: 100, ..Limits::default() };
        if let Ok(report) = read(&bytes[..], &limits) {
            check_bounds(&report, &limits);
        }
    }
}
