//! Spool operations of one task: reserve a slot, write the claim, write the result, remove both. Most of the time is
//! fsync, which is measured separately for comparison.

use std::fs::File;
use std::io::Write as _;

use divan::{Bencher, black_box};
use ostest_runner::spool::Spool;
use ostest_runner::task::TaskId;
use serde_json::value::RawValue;
use tempfile::TempDir;

fn main() {
    divan::main();
}

const CLAIM: &[u8] = br#"{"id":1,"repositoryUrl":"https://example.org/s.git","branch":"main"}"#;

/// A folder on the disk of the build, because `/tmp` may be in memory.
fn folder() -> TempDir {
    #[expect(clippy::expect_used, reason = "a benchmark needs a folder")]
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder to write to")
}

/// The argument is the size of the result in bytes.
#[divan::bench(args = [200, 100_000])]
#[expect(clippy::expect_used, reason = "a benchmark needs a working disk")]
fn claim_finish_deliver(bencher: Bencher<'_, '_>, bytes: usize) {
    let folder = folder();
    let (spool, _) = Spool::open(folder.path()).expect("a spool");
    let id = TaskId::new(RawValue::from_string("1".to_owned()).unwrap_or_default());
    let result = format!("{{\"id\":1,\"errorDetails\":\"{}\"}}", "x".repeat(bytes));
    bencher.bench_local(|| {
        let slot = spool.reserve().expect("a slot");
        let claimed = slot.claim(&id, black_box(CLAIM)).map_err(|(_, error)| error).expect("a claim");
        let finished = claimed.finish(result.as_bytes()).map_err(|(_, error)| error).expect("a result");
        finished.delivered().expect("a removal");
    });
}

#[divan::bench]
#[expect(clippy::expect_used, reason = "a benchmark needs a working disk")]
fn one_fsync_of_4_kib(bencher: Bencher<'_, '_>) {
    let folder = folder();
    let path = folder.path().join("file");
    bencher.bench_local(|| {
        let mut file = File::create(&path).expect("a file");
        file.write_all(black_box(&[1; 4096])).expect("4 KiB");
        file.sync_data().expect("an fsync");
    });
}
