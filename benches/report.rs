//! The report reader, in memory: reports of a few megabytes in pytest's format, one with only failed cases.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use report::Limits;
use report::junit;

fn main() {
    divan::main();
}

/// A report with `cases` cases; every `failing`th one fails with a traceback.
fn report(cases: usize, failing: usize) -> Vec<u8> {
    let head = format!("<?xml version=\"1.0\"?><testsuites><testsuite tests=\"{cases}\" time=\"1.5\">");
    let body = (0..cases).fold(head, |text, number| {
        let case = format!(
            "<testcase classname=\"tests.test_module_{:04}\" name=\"test_case[{number}]\" time=\"0.001\"",
            number / 100
        );
        if number % failing != failing - 1 {
            return text + &case + "/>\n";
        }
        let line = "    def test():\n&gt;       assert f(x) == &quot;two&quot;\nE       AssertionError\n";
        text + &case + "><failure message=\"assert 1 == 2\">" + &line.repeat(20) + "</failure></testcase>\n"
    });
    (body + "</testsuite></testsuites>").into_bytes()
}

#[divan::bench(args = [20, usize::MAX, 1])]
fn read(bencher: Bencher<'_, '_>, failing: usize) {
    let text = report(if failing == 1 { 2_000 } else { 20_000 }, failing);
    let limits = Limits::default();
    bencher.counter(BytesCount::of_slice(&text)).bench(|| junit::read(black_box(text.as_slice()), &limits));
}
