//! Groups of test cases in version 2. A peak cannot be reset before kernel 6.12, so each case gets a group of its own, into
//! which the suite's interpreter is moved; what it starts from then on is in that group as well.

use std::fs;
use std::io;
use std::path::PathBuf;

use nix::unistd::Pid;

use super::super::memory_baseline::SLACK;
use super::files::number;

/// Groups of a task's cases.
#[derive(Debug)]
pub(super) struct CaseGroups {
    task: PathBuf,
    made: u64,
    /// Group of the running case, or of the last one.
    current: Option<CaseGroup>,
    /// Groups of earlier cases in which processes still run.
    earlier: Vec<CaseGroup>,
    /// Bytes by which those grew since the last case's end.
    late: u64,
}

impl CaseGroups {
    pub(super) fn below(task: PathBuf) -> Self {
        Self { task, made: 0, current: None, earlier: Vec::new(), late: 0 }
    }

    /// Begins a case in the process `interpreter`.
    pub(super) fn begin(&mut self, interpreter: Option<Pid>) {
        let folder = self.task.join(format!("case-{}", self.made));
        self.made += 1;
        let moved = fs::create_dir(&folder).and_then(|()| {
            let pid = interpreter.ok_or(io::ErrorKind::NotFound)?;
            fs::write(folder.join("cgroup.procs"), pid.to_string())
        });
        self.earlier.extend(self.current.take());
        self.late += self.growth();
        // A group cannot be removed while a process of its case still runs.
        self.earlier.retain(|group| fs::remove_dir(&group.folder).is_err());
        self.current = moved.is_ok().then_some(CaseGroup { folder, peak: 0, usage: 0 });
    }

    /// Returns the peak of the running case, with the growth of earlier ones meanwhile, in bytes.
    pub(super) fn end(&mut self) -> Option<u64> {
        let late = std::mem::take(&mut self.late) + self.growth();
        let current = self.current.as_mut()?;
        current.measure();
        (current.peak > 0).then_some(current.peak + late)
    }

    fn growth(&mut self) -> u64 {
        self.earlier.iter_mut().map(CaseGroup::measure).filter(|&grown| grown > SLACK).sum()
    }
}

/// The group of one case.
#[derive(Debug)]
struct CaseGroup {
    folder: PathBuf,
    /// Peak of its use, in bytes, at the last measurement.
    peak: u64,
    /// Bytes in use then.
    usage: u64,
}

impl CaseGroup {
    /// Measures the group; returns by how many bytes it has grown since the last measurement. If it had a higher peak before,
    /// growth shows only while the memory is in use.
    fn measure(&mut self) -> u64 {
        let read = |name| number(&self.folder.join(name)).unwrap_or(0);
        let (peak, usage) = (read("memory.peak"), read("memory.current"));
        let grown = peak.saturating_sub(self.peak).max(usage.saturating_sub(self.usage));
        (self.peak, self.usage) = (peak, usage);
        grown
    }
}
