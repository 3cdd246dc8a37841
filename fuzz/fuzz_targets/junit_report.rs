//! Any bytes as a report: read at once, in pieces, and with the smallest limits.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ostest_runner_fuzz::checks::{Pieces, check_against_tree, check_report, tight};
use report::junit;
use report::{Limits, Report};

fuzz_target!(|bytes: &[u8]| {
    let read = check_report(bytes, &Limits::default());
    check_against_tree(bytes, &read);
    let in_pieces = junit::read(Pieces::new(bytes, 5), &Limits::default());
    let bounded = check_report(bytes, &tight());
    match (read, in_pieces, bounded) {
        (Ok(read), Ok(in_pieces), Ok(bounded)) => {
            assert_eq!(read, in_pieces, "the result depends on the sizes of the reads");
            let summary =
                |report: &Report| (report.tally, report.duration, report.fault.clone(), report.verdict());
            assert_eq!(summary(&read), summary(&bounded), "the result depends on the limits");
        }
        (Err(read), Err(in_pieces), Err(bounded)) => {
            assert_eq!(read.to_string(), in_pieces.to_string());
            assert_eq!(read.to_string(), bounded.to_string());
        }
        different => panic!("{different:?}"),
    }
});
