//! Measures how `runner parse-report` reads a very large report.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use tools::proc;
use tools::programs::runner_command;

use crate::row::Row;
use crate::stats::to_f64;
use crate::world::World;

/// Bytes of each case in the report.
const CASE_BYTES: usize = 200;

/// Time and memory of reading the report.
#[derive(Debug)]
pub(crate) struct LargeReport {
    cases: usize,
    bytes: u64,
    seconds: f64,
    /// Peak memory in KiB.
    peak: f64,
    /// Peak memory in KiB with a report of one case.
    baseline: f64,
}

/// Writes a report with `cases` cases, and reads it three times with `runner parse-report`.
///
/// # Errors
/// Returns a message if the report cannot be written or the program fails.
pub(crate) async fn measure(world: &World, cases: usize) -> Result<LargeReport, String> {
    let (small, large) = (world.path("small.xml"), world.path("large.xml"));
    let write = |path: &Path, cases| {
        write_report(path, cases, world.seed)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))
    };
    write(&small, 1)?;
    let bytes = write(&large, cases)?;
    let program = world.program.clone();
    let read = move || {
        let (_, baseline) = parse_report(&program, &small)?;
        // The first run also warms the page cache.
        let run = || parse_report(&program, &large);
        let runs = [run()?, run()?, run()?];
        let seconds = runs.iter().map(|(seconds, _)| *seconds).fold(f64::INFINITY, f64::min);
        let peak = runs.iter().map(|(_, peak)| *peak).fold(0.0, f64::max);
        Ok(LargeReport { cases, bytes, seconds, peak, baseline })
    };
    tokio::task::spawn_blocking(read).await.map_err(|error| error.to_string())?
}

/// Writes a report in the form of pytest, in which every twentieth case fails. Returns its size in bytes.
fn write_report(path: &Path, cases: usize, seed: u64) -> std::io::Result<u64> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut out = BufWriter::new(File::create(path)?);
    write!(
        out,
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><testsuites><testsuite name=\"pytest\" tests=\"{cases}\" time=\"1.5\">"
    )?;
    for number in 0..cases {
        let case = format!(
            "<testcase classname=\"tests.test_module_{:04}\" name=\"test_case[{number}-{:016x}]\" time=\"0.{:03}\"",
            number / 100,
            random.u64(..),
            random.u32(..1000)
        );
        let (open, close) = if number % 20 == 19 {
            (
                "><failure message=\"AssertionError: assert 1 == 2\">def test(): &gt; assert f(x) == 2 ",
                "</failure></testcase>\n",
            )
        } else {
            ("><system-out>", "</system-out></testcase>\n")
        };
        let fill = CASE_BYTES.saturating_sub(case.len() + open.len() + close.len());
        writeln!(out, "{case}{open}{}{}", "x".repeat(fill.saturating_sub(1)), close.trim_end())?;
    }
    out.write_all(b"</testsuite></testsuites>")?;
    out.into_inner()?.metadata().map(|metadata| metadata.len())
}

/// Seconds from the start of `runner parse-report` to the end of its output, and its peak memory in KiB.
fn parse_report(program: &Path, report: &Path) -> Result<(f64, f64), String> {
    let fail = |error: std::io::Error| format!("runner parse-report: {error}");
    let started = Instant::now();
    // The second report is an open pipe: the program waits for it while its peak memory is read.
    let mut child = runner_command(program)
        .args(["parse-report", &report.display().to_string(), "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(fail)?;
    let mut out = child.stdout.take().ok_or("no stdout")?;
    let (mut text, mut buffer) = (Vec::new(), vec![0; 1 << 20]);
    while !text.ends_with(b"\n}\n") {
        match out.read(&mut buffer).map_err(fail)? {
            0 => return Err("the output of runner parse-report is incomplete".to_owned()),
            length => text.extend_from_slice(&buffer[..length]),
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let peak = to_f64(proc::status_number(child.id(), "VmHWM").unwrap_or(0));
    drop(child.stdin.take());
    child.wait().map_err(fail)?;
    Ok((seconds, peak))
}

impl LargeReport {
    /// The rows of the table.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let megabytes = to_f64(self.bytes) / 1e6;
        let (speed, growth) = (megabytes / self.seconds, (self.peak - self.baseline) / 1024.0);
        let name = format!("report of {megabytes:.0} MB, {} cases", self.cases);
        vec![
            Row::new(
                format!("{name}: speed"),
                format!("{speed:.0} MB/s: {:.0} ms, start and output included", self.seconds * 1e3),
            )
            .limit(">= 150 MB/s", speed >= 150.0)
            .value("mb_per_s", speed),
            Row::new(
                format!("{name}: memory"),
                format!("{growth:.1} MiB more than for one case (peak {:.1})", self.peak / 1024.0),
            )
            .limit("<= 64 MiB more", growth <= 64.0)
            .value("more_mib", growth),
        ]
    }
}
