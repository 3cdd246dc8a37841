//! Limits of a task.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use text::{Limit, limited_size, units};

/// Limits of one task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, clap::Args)]
#[command(next_help_heading = "Limits of a task")]
#[group(skip)]
pub struct Limits {
    /// Memory of a task, all its processes together; none: no limit
    #[arg(long, global = true, env = "RUNNER_MEMORY", value_name = "SIZE", default_value = "512M", value_parser = limited_size)]
    pub memory: Limit<u64>,

    /// Processors of a task, such as 0.5 or 2; none: no limit
    #[arg(long, global = true, env = "RUNNER_CPUS", value_name = "NUMBER", default_value = "1", value_parser = share)]
    pub cpus: Limit<f64>,

    /// Processor time of a task, all its processes together; none: no limit but --timeout
    #[arg(long, global = true, env = "RUNNER_CPU_TIME", value_name = "DURATION", default_value = "none", value_parser = time)]
    pub cpu_time: Limit<Duration>,

    /// Processes and threads of a task; none: no limit
    #[arg(long, global = true, env = "RUNNER_PIDS", value_name = "COUNT", default_value = "128", value_parser = count)]
    pub pids: Limit<u64>,

    /// Everything that a task writes: checkout, suite, temporary files; none: no limit
    #[arg(long, global = true, env = "RUNNER_DISK", value_name = "SIZE", default_value = "512M", value_parser = limited_size)]
    pub disk: Limit<u64>,

    /// Largest file that a task writes; none: no limit
    #[arg(long, global = true, env = "RUNNER_FILE_SIZE", value_name = "SIZE", default_value = "64M", value_parser = limited_size)]
    pub file_size: Limit<u64>,

    /// Output of a task's suite on stdout and stderr together; none: no limit, and only a part is kept
    #[arg(long, global = true, env = "RUNNER_OUTPUT_SIZE", value_name = "SIZE", default_value = "64M", value_parser = limited_size)]
    pub output_size: Limit<u64>,

    /// Open files of one process; none: no limit
    #[arg(long, global = true, env = "RUNNER_NOFILE", value_name = "COUNT", default_value = "256", value_parser = count)]
    pub nofile: Limit<u64>,
}

impl Limits {
    /// Returns limits of which none is set.
    pub fn none() -> Self {
        Self::default()
    }

    /// Returns how many files and folders a task may have on its disk: an empty file takes room as well.
    pub fn files(&self) -> Option<u64> {
        self.disk.0.map(|bytes| (bytes / 4096).max(4096))
    }
}

fn share(text: &str) -> Result<Limit<f64>, String> {
    Limit::parse(text, |text| {
        let number = text.trim().parse::<f64>().ok();
        let fair = number.filter(|share| (0.01..=4096.0).contains(share));
        fair.ok_or_else(|| "expected a number of processors from 0.01 to 4096".to_owned())
    })
}

fn time(text: &str) -> Result<Limit<Duration>, String> {
    Limit::parse(text, |text| match units::duration(text)? {
        time if time < Duration::from_secs(1) => Err("expected at least 1s".to_owned()),
        time => Ok(time),
    })
}

fn count(text: &str) -> Result<Limit<u64>, String> {
    Limit::parse(text, |text| {
        let number = text.trim().parse().ok();
        let fair = number.filter(|number| (8..=1_000_000).contains(number));
        fair.ok_or_else(|| "expected a whole number from 8 to 1000000".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_limits_and_none() {
        assert_eq!(limited_size("512M"), Ok(Limit(Some(512 << 20))));
        assert_eq!(limited_size("none"), Ok(Limit(None)));
        assert_eq!(share("0.5"), Ok(Limit(Some(0.5))));
        assert_eq!(time("90"), Ok(Limit(Some(Duration::from_secs(90)))));
        assert_eq!(count("128"), Ok(Limit(Some(128))));
        for wrong in
            [limited_size("0").is_ok(), limited_size("1K").is_ok(), share("0").is_ok(), share("NaN").is_ok()]
        {
            assert!(!wrong);
        }
        for wrong in [share("-1").is_ok(), time("0.5").is_ok(), count("2").is_ok(), count("x").is_ok()] {
            assert!(!wrong);
        }
        assert!(limited_size("x").unwrap_err().ends_with("or none"));
    }
}
