//! A very large report, read by `runner parse-report`.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use crate::common::programs::runner;
use crate::gauge;
use crate::rows::Row;
use crate::stats::number;
use crate::world::World;

/// Bytes of a case.
const CASE: usize = 200;

/// What reading came to.
#[derive(Debug)]
pub(crate) struct ReportFile {
    cases: usize,
    bytes: u64,
    seconds: f64,
    /// KiB at the peak, and of the same program with a report of one case.
    peak: f64,
    floor: f64,
}

/// Writes a report of `cases` cases and has it read.
pub(crate) async fn measure(world: &World, cases: usize) -> Result<ReportFile, String> {
    let (small, large) = (world.at("small.xml"), world.at("large.xml"));
    let write = |path: &Path, cases| {
        write(path, cases, world.seed).map_err(|error| format!("cannot write {}: {error}", path.display()))
    };
    write(&small, 1)?;
    let bytes = write(&large, cases)?;
    let program = world.program.clone();
    let read = move || {
        let (_, floor) = read(&program, &small)?;
        // The first reading also warms the page cache.
        let runs = [read(&program, &large)?, read(&program, &large)?, read(&program, &large)?];
        let seconds = runs.iter().map(|(seconds, _)| *seconds).fold(f64::INFINITY, f64::min);
        let peak = runs.iter().map(|(_, peak)| *peak).fold(0.0, f64::max);
        Ok(ReportFile { cases, bytes, seconds, peak, floor })
    };
    tokio::task::spawn_blocking(read).await.map_err(|error| error.to_string())?
}

/// A report as pytest writes it: one case in twenty fails, with a traceback. Gives its size.
fn write(path: &Path, cases: usize, seed: u64) -> std::io::Result<u64> {
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
        let fill = CASE.saturating_sub(case.len() + open.len() + close.len());
        writeln!(out, "{case}{open}{}{}", "x".repeat(fill.saturating_sub(1)), close.trim_end())?;
    }
    out.write_all(b"</testsuite></testsuites>")?;
    out.into_inner()?.metadata().map(|metadata| metadata.len())
}

/// Seconds from the start of the program to the end of the body that it prints, and its peak memory in KiB.
fn read(program: &Path, report: &Path) -> Result<(f64, f64), String> {
    let fail = |error: std::io::Error| format!("runner parse-report: {error}");
    let started = Instant::now();
    // The second file is a pipe that says nothing: the program waits there, to be looked at.
    let mut child = runner(program)
        .args(["parse-report", &report.display().to_string(), "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(fail)?;
    let mut out = child.stdout.take().ok_or("no stdout")?;
    let (mut text, mut part) = (Vec::new(), vec![0; 1 << 20]);
    while !text.ends_with(b"\n}\n") {
        match out.read(&mut part).map_err(fail)? {
            0 => return Err("runner parse-report printed no whole body".to_owned()),
            length => text.extend_from_slice(&part[..length]),
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let peak = gauge::status(child.id(), "VmHWM");
    drop(child.stdin.take());
    child.wait().map_err(fail)?;
    Ok((seconds, peak))
}

impl ReportFile {
    /// The rows.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let megabytes = number(self.bytes) / 1e6;
        let (speed, more) = (megabytes / self.seconds, (self.peak - self.floor) / 1024.0);
        let name = format!("report of {megabytes:.0} MB, {} cases", self.cases);
        vec![
            Row::told(
                format!("{name}: speed"),
                format!(
                    "{speed:.0} MB/s: {:.0} ms, the program's start and its printing included",
                    self.seconds * 1e3
                ),
            )
            .bar(">= 150 MB/s", speed >= 150.0)
            .value("mb_per_s", speed),
            Row::told(
                format!("{name}: memory"),
                format!("{more:.1} MiB more than for one case ({:.1} at the peak)", self.peak / 1024.0),
            )
            .bar("<= 64 MiB more", more <= 64.0)
            .value("more_mib", more),
        ]
    }
}
