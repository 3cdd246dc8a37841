//! What a step uses, and which of its limits it has hit: by its control group, or, without one, by looking again and
//! again.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};
use serde::{Deserialize, Serialize};

use super::tree;
use crate::sandbox::cgroup::Group;
use crate::sandbox::{Level, Limits, Plan, View};

/// Pace of looking at memory where no control group counts it.
const SAMPLE: Duration = Duration::from_millis(20);

/// Pace of looking at the disk where no filesystem bounds it, and at processor time.
const LOOK: Duration = Duration::from_millis(100);

/// A limit that a step has hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Hit {
    /// More memory than it may have.
    Memory,
    /// More processor time.
    CpuTime,
    /// More on disk.
    Disk,
    /// More processes.
    Processes,
}

impl Hit {
    /// The one word for it, in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::CpuTime => "cpu_time",
            Self::Disk => "disk",
            Self::Processes => "processes",
        }
    }

    /// `used more than 512 MB of memory`.
    pub fn words(self, limits: &Limits) -> String {
        let mb = |bytes: Option<u64>| bytes.unwrap_or(0) >> 20;
        match self {
            Self::Memory => format!("used more than {} MB of memory", mb(limits.memory.0)),
            Self::CpuTime => format!(
                "used more than {} of processor time",
                crate::units::show(limits.cpu_time.0.unwrap_or_default())
            ),
            Self::Disk => format!("wrote more than {} MB to disk", mb(limits.disk.0)),
            Self::Processes => {
                format!("started more than {} processes and threads", limits.pids.0.unwrap_or(0))
            }
        }
    }
}

/// Measures one step.
pub(super) struct Meter {
    group: Option<Group>,
    limits: Limits,
    /// Folders to look at, where nothing else bounds them.
    disk: Vec<PathBuf>,
    hits: Vec<Hit>,
    /// The suite's interpreter, once it has spoken.
    suite: Option<i32>,
    /// Kills for want of memory that are told already.
    told_kills: u64,
    told_refused: u64,
    sampled: Sampled,
    next_look: Instant,
    next_sample: Instant,
}

/// Memory by looking.
#[derive(Debug, Default)]
struct Sampled {
    /// Whether a case is in hand, or a limit is to be held.
    on: bool,
    in_case: bool,
    baseline: u64,
    peak: u64,
    kills: u64,
}

impl Meter {
    pub(super) fn new(plan: &Plan, group: Option<Group>) -> Self {
        let disk = match (&plan.view, plan.level, plan.limits.disk.0) {
            (View::Suite(view), Level::Basic, Some(_)) => {
                [&view.source, &view.suite, &view.home, &view.temp, &view.out].map(Clone::clone).to_vec()
            }
            _ => Vec::new(),
        };
        let on = group.is_none() && plan.limits.memory.0.is_some();
        let (sampled, now) = (Sampled { on, ..Sampled::default() }, Instant::now());
        Self {
            group,
            limits: plan.limits,
            disk,
            hits: Vec::new(),
            suite: None,
            told_kills: 0,
            told_refused: 0,
            sampled,
            next_look: now,
            next_sample: now,
        }
    }

    pub(super) fn group(&self) -> Option<&Group> {
        self.group.as_ref()
    }

    /// How long to wait before [`Self::look`]; none: an event will say all.
    pub(super) fn pause(&self) -> Option<Duration> {
        let look = (!self.disk.is_empty() || self.limits.cpu_time.0.is_some()).then_some(self.next_look);
        let sample = (self.sampled.on || self.sampled.in_case).then_some(self.next_sample);
        let next = look.into_iter().chain(sample).min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    /// Looks at what nothing else bounds; a limit that was hit is why the step is to be ended.
    pub(super) fn look(&mut self) -> Option<Hit> {
        let started = Instant::now();
        let mut hit = None;
        if (self.sampled.on || self.sampled.in_case) && started >= self.next_sample {
            hit = self.sample();
            // Looking must not become the work itself.
            self.next_sample = Instant::now() + SAMPLE.max(started.elapsed() * 3);
        }
        if started >= self.next_look {
            hit = hit.or_else(|| self.disk_hit()).or_else(|| self.cpu_hit());
            self.next_look = Instant::now() + LOOK.max(started.elapsed() * 5);
        }
        hit.inspect(|&hit| self.note(hit))
    }

    pub(super) fn note(&mut self, hit: Hit) {
        if !self.hits.contains(&hit) {
            self.hits.push(hit);
        }
    }

    /// A case begins.
    pub(super) fn begin(&mut self, interpreter: Option<Pid>) {
        if let Some(group) = &mut self.group {
            return group.begin_case(interpreter);
        }
        self.suite = interpreter.map(Pid::as_raw).or(self.suite);
        let now = sizes_below().iter().map(|(_, size)| size).sum();
        self.sampled = Sampled { in_case: true, baseline: now, peak: now, ..self.sampled };
    }

    /// A case has ended: its peak in bytes above the suite's own, and what it died of, if that was a limit.
    pub(super) fn end(&mut self) -> (Option<u64>, Option<String>) {
        let peak = if let Some(group) = &mut self.group {
            group.end_case()
        } else {
            self.sample();
            self.sampled.in_case = false;
            Some(self.sampled.peak.saturating_sub(self.sampled.baseline))
        };
        let group = self.group.as_ref();
        let kills = group.map_or(self.sampled.kills, Group::memory_kills);
        let refused = group.map_or(0, Group::refused_processes);
        let note = if kills > self.told_kills {
            Some(format!("killed: {}", Hit::Memory.words(&self.limits)))
        } else if refused > self.told_refused {
            Some(Hit::Processes.words(&self.limits))
        } else {
            None
        };
        (self.told_kills, self.told_refused) = (kills, refused);
        (peak, note)
    }

    /// All limits that were hit.
    pub(super) fn hits(&mut self) -> Vec<Hit> {
        if let Some(group) = &self.group {
            let (memory, processes) = (group.memory_kills(), group.refused_processes());
            if memory > 0 {
                self.note(Hit::Memory);
            }
            if processes > 0 {
                self.note(Hit::Processes);
            }
        }
        std::mem::take(&mut self.hits)
    }

    /// Looks at memory. Over the limit, the largest process goes, as the kernel would choose; where that is the suite's
    /// own, everything goes.
    fn sample(&mut self) -> Option<Hit> {
        let sizes = sizes_below();
        let now = sizes.iter().map(|(_, size)| size).sum();
        let sampled = &mut self.sampled;
        sampled.peak = sampled.peak.max(now);
        if !sampled.on || self.limits.memory.0.is_none_or(|most| now <= most) {
            return None;
        }
        let largest = sizes.iter().max_by_key(|(_, size)| *size).map(|&(pid, _)| pid)?;
        if Some(largest) == self.suite || self.suite.is_none() {
            return Some(Hit::Memory);
        }
        kill(Pid::from_raw(largest), Signal::SIGKILL).ok();
        sampled.kills += 1;
        self.note(Hit::Memory);
        None
    }

    fn disk_hit(&self) -> Option<Hit> {
        let most = self.limits.disk.0?;
        // Files without bytes cost as well.
        let (mut bytes, mut entries) = (0, 0);
        let mut seen = HashSet::new();
        for folder in &self.disk {
            weigh(folder, &mut seen, &mut bytes, &mut entries, most);
        }
        (bytes > most || entries > (most / 4096).max(4096)).then_some(Hit::Disk)
    }

    fn cpu_hit(&self) -> Option<Hit> {
        let most = self.limits.cpu_time.0?;
        let used = self.group.as_ref().and_then(Group::cpu)?;
        (used > most).then_some(Hit::CpuTime)
    }
}

/// Proportional set sizes of all below this process, in bytes.
fn sizes_below() -> Vec<(i32, u64)> {
    tree::below(getpid().as_raw()).iter().map(|process| (process.pid, proportional(process.pid))).collect()
}

fn proportional(pid: i32) -> u64 {
    let field = |text: &str, name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let exact = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok();
    let kib = exact.and_then(|text| field(&text, "Pss:")).or_else(|| {
        // What is not dumpable shows its resident set only.
        field(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "VmRSS:")
    });
    kib.unwrap_or(0) * 1024
}

fn weigh(path: &Path, seen: &mut HashSet<u64>, bytes: &mut u64, entries: &mut u64, most: u64) {
    use std::os::unix::fs::MetadataExt;
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        *entries += 1;
        if *bytes > most || *entries > (most / 4096).max(4096) {
            return;
        }
        let Ok(meta) = entry.metadata() else { continue };
        // Several names of one file take its room once.
        if meta.nlink() == 1 || meta.is_dir() || seen.insert(meta.ino()) {
            *bytes += meta.blocks() * 512;
        }
        if meta.is_dir() {
            weigh(&entry.path(), seen, bytes, entries, most);
        }
    }
}
