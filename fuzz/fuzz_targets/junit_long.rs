//! Long reports, expanded from short inputs: texts, values and comments longer than the reader's limits, and more cases
//! than it keeps.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ostest_runner_fuzz::checks::{Pieces, by_weight, check_against_tree, check_report, expand};
use report::junit;
use report::{Limits, Report};

fuzz_target!(|bytes: &[u8]| {
    let long = expand(bytes);
    let read = check_report(&long, &Limits::default());
    check_against_tree(&long, &read);
    let in_pieces = junit::read(Pieces::new(&long, 2_000), &Limits::default());
    let bounded = check_report(&long, &by_weight());
    match (read, in_pieces, bounded) {
        (Ok(read), Ok(in_pieces), Ok(bounded)) => {
            // Where a long text is truncated may depend on the sizes of the reads.
            let summary = |report: &Report| (report.tally, report.duration, report.verdict());
            assert_eq!(summary(&read), summary(&in_pieces), "the result depends on the sizes of the reads");
            assert_eq!(summary(&read), summary(&bounded), "the result depends on the limits");
        }
        (Err(_), Err(_), Err(_)) => {}
        different => panic!("{different:?}"),
    }
});
