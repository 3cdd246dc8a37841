//! The limits of a task, as people write them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use text::units;

/// A limit that may be absent: `none` on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Most<T>(pub Option<T>);

impl<T> Default for Most<T> {
    fn default() -> Self {
        Self(None)
    }
}

/// What one task may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, clap::Args)]
#[command(next_help_heading = "Limits of a task")]
#[group(skip)]
pub struct Limits {
    /// Memory of a task, all its processes together; none: no limit
    #[arg(long, global = true, env = "RUNNER_MEMORY", value_name = "SIZE", default_value = "512M", value_parser = size)]
    pub memory: Most<u64>,

    /// Processors of a task, such as 0.5 or 2; none: no limit
    #[arg(long, global = true, env = "RUNNER_CPUS", value_name = "NUMBER", default_value = "1", value_parser = share)]
    pub cpus: Most<f64>,

    /// Processor time of a task, all its processes together; none: no limit but --timeout
    #[arg(long, global = true, env = "RUNNER_CPU_TIME", value_name = "DURATION", default_value = "none", value_parser = time)]
    pub cpu_time: Most<Duration>,

    /// Processes and threads of a task; none: no limit
    #[arg(long, global = true, env = "RUNNER_PIDS", value_name = "COUNT", default_value = "128", value_parser = count)]
    pub pids: Most<u64>,

    /// All that a task writes: checkout, suite, temporary files; none: no limit
    #[arg(long, global = true, env = "RUNNER_DISK", value_name = "SIZE", default_value = "512M", value_parser = size)]
    pub disk: Most<u64>,

    /// One file that a task writes; none: no limit
    #[arg(long, global = true, env = "RUNNER_FILE_SIZE", value_name = "SIZE", default_value = "64M", value_parser = size)]
    pub file_size: Most<u64>,

    /// What a task writes to stdout and stderr of its suite; none: no limit, a part is kept anyway
    #[arg(long, global = true, env = "RUNNER_OUTPUT_SIZE", value_name = "SIZE", default_value = "64M", value_parser = size)]
    pub output_size: Most<u64>,

    /// Open files of one process; none: no limit
    #[arg(long, global = true, env = "RUNNER_NOFILE", value_name = "COUNT", default_value = "256", value_parser = count)]
    pub nofile: Most<u64>,
}

impl Limits {
    /// No limit at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// Files and folders that a task may have on its disk: those without bytes cost as well.
    pub fn files(&self) -> Option<u64> {
        self.disk.0.map(|bytes| (bytes / 4096).max(4096))
    }
}

fn most<T>(text: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Most<T>, String> {
    if text.trim().eq_ignore_ascii_case("none") {
        return Ok(Most(None));
    }
    read(text).map(|value| Most(Some(value))).map_err(|taken| format!("{taken}, or none"))
}

/// Reads a size of at least a megabyte, or `none`.
pub fn size(text: &str) -> Result<Most<u64>, String> {
    const LEAST: u64 = 1 << 20;
    most(text, |text| match units::size(text)? {
        bytes if bytes < LEAST => Err("expected at least 1M".to_owned()),
        bytes => Ok(bytes),
    })
}

fn share(text: &str) -> Result<Most<f64>, String> {
    most(text, |text| {
        let number = text.trim().parse::<f64>().ok();
        let fair = number.filter(|share| (0.01..=4096.0).contains(share));
        fair.ok_or_else(|| "expected a number of processors from 0.01 to 4096".to_owned())
    })
}

fn time(text: &str) -> Result<Most<Duration>, String> {
    most(text, |text| match units::duration(text)? {
        time if time < Duration::from_secs(1) => Err("expected at least 1s".to_owned()),
        time => Ok(time),
    })
}

fn count(text: &str) -> Result<Most<u64>, String> {
    most(text, |text| {
        let number = text.trim().parse().ok();
        let fair = number.filter(|number| (8..=1_000_000).contains(number));
        fair.ok_or_else(|| "expected a whole number from 8 to 1000000".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_read_as_people_write_them() {
        assert_eq!(size("512M"), Ok(Most(Some(512 << 20))));
        assert_eq!(size("none"), Ok(Most(None)));
        assert_eq!(share("0.5"), Ok(Most(Some(0.5))));
        assert_eq!(time("90"), Ok(Most(Some(Duration::from_secs(90)))));
        assert_eq!(count("128"), Ok(Most(Some(128))));
        for wrong in [size("0").is_ok(), size("1K").is_ok(), share("0").is_ok(), share("NaN").is_ok()] {
            assert!(!wrong);
        }
        for wrong in [share("-1").is_ok(), time("0.5").is_ok(), count("2").is_ok(), count("x").is_ok()] {
            assert!(!wrong);
        }
        assert!(size("x").unwrap_err().ends_with("or none"));
    }
}
