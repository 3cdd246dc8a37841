//! Groups of cases in version 2: before kernel 6.12 a peak cannot be reset, so that each case gets a group of its own, into
//! which the suite's interpreter is moved, and with it all that it starts from then on.

use std::fs;
use std::io;
use std::path::PathBuf;

use nix::unistd::Pid;

use super::super::window::SLACK;
use super::number;

/// The groups of a task's cases.
#[derive(Debug)]
pub(super) struct Leaves {
    task: PathBuf,
    made: u64,
    /// Of the case in hand, or of the last one.
    own: Option<Leaf>,
    /// Of cases before, in which something goes on.
    others: Vec<Leaf>,
    /// Bytes that those took since the last case's end.
    late: u64,
}

impl Leaves {
    pub(super) fn below(task: PathBuf) -> Self {
        Self { task, made: 0, own: None, others: Vec::new(), late: 0 }
    }

    /// A case begins in the process `interpreter`.
    pub(super) fn begin(&mut self, interpreter: Option<Pid>) {
        let folder = self.task.join(format!("case-{}", self.made));
        self.made += 1;
        let moved = fs::create_dir(&folder).and_then(|()| {
            let pid = interpreter.ok_or(io::ErrorKind::NotFound)?;
            fs::write(folder.join("cgroup.procs"), pid.to_string())
        });
        self.others.extend(self.own.take());
        self.late += self.growth();
        // What an earlier case left running keeps its group until it ends.
        self.others.retain(|leaf| fs::remove_dir(&leaf.folder).is_err());
        self.own = moved.is_ok().then_some(Leaf { folder, peak: 0, usage: 0 });
    }

    /// The most that the case in hand took, with what those before took meanwhile, in bytes.
    pub(super) fn end(&mut self) -> Option<u64> {
        let late = std::mem::take(&mut self.late) + self.growth();
        let own = self.own.as_mut()?;
        own.look();
        (own.peak > 0).then_some(own.peak + late)
    }

    fn growth(&mut self) -> u64 {
        self.others.iter_mut().map(Leaf::look).filter(|&grown| grown > SLACK).sum()
    }
}

/// The group of one case.
#[derive(Debug)]
struct Leaf {
    folder: PathBuf,
    /// The most that it ever used, in bytes, at the last look.
    peak: u64,
    /// What it used then.
    usage: u64,
}

impl Leaf {
    /// How much it has grown since the last look. One that had more before shows it only while it has it.
    fn look(&mut self) -> u64 {
        let read = |name| number(&self.folder.join(name)).unwrap_or(0);
        let (peak, usage) = (read("memory.peak"), read("memory.current"));
        let grown = peak.saturating_sub(self.peak).max(usage.saturating_sub(self.usage));
        (self.peak, self.usage) = (peak, usage);
        grown
    }
}
