//! What a task writes to disk: its place, its claim, its result, and the end of both. Most of it is the disk's fsync,
//! which stands beside it.

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

/// A folder on the disk of the build, not on a `/tmp` that may be memory.
fn folder() -> TempDir {
    #[expect(clippy::expect_used, reason = "nothing can be measured without it")]
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder to write to")
}

/// Bytes of the result.
#[divan::bench(args = [200, 100_000])]
#[expect(clippy::expect_used, reason = "a disk that fails is no measurement")]
fn claim_finish_deliver(bencher: Bencher<'_, '_>, bytes: usize) {
    let folder = folder();
    let (spool, _) = Spool::open(folder.path()).expect("a spool");
    let id = TaskId::new(RawValue::from_string("1".to_owned()).unwrap_or_default());
    let result = format!("{{\"id\":1,\"errorDetails\":\"{}\"}}", "x".repeat(bytes));
    bencher.bench_local(|| {
        let slot = spool.reserve().expect("a place");
        let claimed = slot.claim(&id, black_box(CLAIM)).map_err(|(_, error)| error).expect("a claim");
        let finished = claimed.finish(result.as_bytes()).map_err(|(_, error)| error).expect("a result");
        finished.delivered().expect("an end");
    });
}

#[divan::bench]
#[expect(clippy::expect_used, reason = "a disk that fails is no measurement")]
fn one_fsync_of_4_kib(bencher: Bencher<'_, '_>) {
    let folder = folder();
    let path = folder.path().join("file");
    bencher.bench_local(|| {
        let mut file = File::create(&path).expect("a file");
        file.write_all(black_box(&[1; 4096])).expect("4 KiB");
        file.sync_data().expect("an fsync");
    });
}
