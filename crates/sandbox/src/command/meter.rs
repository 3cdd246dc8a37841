//! What a step uses, and which of its limits it has hit: by its control group, or, without one, by looking again and
//! again.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeVal;
use nix::unistd::{Pid, getpid};

use super::disk::{Depth, Disk};
use super::hit::Hit;
use super::tree::{self, Process};
use crate::confine::cgroup::Group;
use crate::confine::window::Window;
use crate::confine::{Level, Limits, Plan};

/// Pace of looking at memory and processes where no control group counts them.
const SAMPLE: Duration = Duration::from_millis(20);

/// Pace of looking at processor time.
const LOOK: Duration = Duration::from_millis(100);

/// Measures one step.
pub(super) struct Meter {
    group: Option<Group>,
    limits: Limits,
    disk: Disk,
    /// What the disk had no room for, since the case in hand began.
    full: Option<Hit>,
    hits: Vec<Hit>,
    /// The suite's interpreter, once it has spoken.
    suite: Option<i32>,
    /// Kills for want of memory that are told already.
    told_kills: u64,
    told_refused: u64,
    sampled: Sampled,
    /// Processes of the sandbox itself, which the system does not count.
    own_processes: u64,
    next_disk: Instant,
    next_look: Instant,
    next_sample: Instant,
}

/// Memory by looking.
#[derive(Debug, Default)]
struct Sampled {
    /// Whether a limit is to be held.
    on: bool,
    /// Whether a case has begun: from then on.
    cases: bool,
    window: Window,
    /// The most since the last case's end.
    peak: u64,
    /// What was laid onto the step's own disk for it.
    laid: Option<u64>,
    kills: u64,
    /// Looks that found as many processes as there may be.
    crowded: u64,
}

impl Meter {
    pub(super) fn new(plan: &Plan, group: Option<Group>) -> Self {
        let limits = &plan.limits;
        let on = group.is_none() && (limits.memory.0.is_some() || limits.pids.0.is_some());
        let (sampled, now) = (Sampled { on, ..Sampled::default() }, Instant::now());
        Self {
            group,
            limits: plan.limits,
            disk: Disk::of(plan),
            full: None,
            hits: Vec::new(),
            suite: None,
            told_kills: 0,
            told_refused: 0,
            sampled,
            own_processes: u64::from(plan.level == Level::Bwrap) + u64::from(plan.brokered),
            next_disk: now,
            next_look: now,
            next_sample: now,
        }
    }

    pub(super) fn group(&self) -> Option<&Group> {
        self.group.as_ref()
    }

    /// How long to wait before [`Self::look`]; none: an event will say all.
    pub(super) fn pause(&self) -> Option<Duration> {
        let disk = self.disk.is_looked_at().then_some(self.next_disk);
        let look = self.limits.cpu_time.0.is_some().then_some(self.next_look);
        let sample = (self.sampled.on || self.sampled.cases).then_some(self.next_sample);
        let next = disk.into_iter().chain(look).chain(sample).min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    /// Looks at what nothing else bounds; a limit that was hit is why the step is to be ended.
    pub(super) fn look(&mut self) -> Option<Hit> {
        let started = Instant::now();
        let mut hit = None;
        if (self.sampled.on || self.sampled.cases) && started >= self.next_sample {
            (_, hit) = self.sample();
            // Looking must not become the work itself.
            self.next_sample = Instant::now() + SAMPLE.max(started.elapsed() * 3);
        }
        if started >= self.next_disk {
            hit = hit.or(self.look_at_disk(Depth::Running));
        }
        if started >= self.next_look {
            hit = hit.or_else(|| self.cpu_hit());
            self.next_look = Instant::now() + LOOK;
        }
        hit.inspect(|&hit| self.note(hit))
    }

    /// Looks at the disk out of turn too; what was written there in vain is noted, and what is to end the step returned.
    pub(super) fn look_at_disk(&mut self, depth: Depth) -> Option<Hit> {
        let (hit, pause) = self.disk.look(&self.limits, depth);
        self.next_disk = Instant::now() + pause;
        if let Some(hit) = hit {
            self.note(hit);
            self.full = Some(hit);
        }
        hit.filter(|hit| hit.kills())
    }

    pub(super) fn note(&mut self, hit: Hit) {
        if !self.hits.contains(&hit) {
            self.hits.push(hit);
        }
    }

    /// A case begins.
    pub(super) fn begin(&mut self, interpreter: Option<Pid>) {
        self.full = None;
        if let Some(group) = &mut self.group {
            return group.begin_case(interpreter);
        }
        self.suite = interpreter.map(Pid::as_raw).or(self.suite);
        let (now, _) = self.memory(&tree::below(getpid().as_raw()));
        self.sampled.cases = true;
        if self.sampled.window.begin(now, self.sampled.peak) {
            self.sampled.peak = now;
        }
    }

    /// A case has ended: its peak in bytes above the suite's own, and what it died of, if that was a limit.
    pub(super) fn end(&mut self) -> (Option<u64>, Option<String>) {
        let peak = if let Some(group) = &mut self.group {
            group.end_case()
        } else {
            let (now, _) = self.sample();
            let peak = std::mem::replace(&mut self.sampled.peak, now);
            Some(self.sampled.window.end(now, peak))
        };
        if matches!(self.disk, Disk::Own(_)) {
            self.look_at_disk(Depth::Running);
        }
        let group = self.group.as_ref();
        let kills = group.map_or(self.sampled.kills, Group::memory_kills);
        let refused = group.map_or(self.sampled.crowded, Group::refused_processes);
        let met = [
            (kills > self.told_kills).then_some(Hit::Memory),
            (refused > self.told_refused).then_some(Hit::Processes),
            self.full,
        ];
        (self.told_kills, self.told_refused) = (kills, refused);
        let notes: Vec<String> = met.into_iter().flatten().map(|hit| hit.note(&self.limits)).collect();
        (peak, (!notes.is_empty()).then(|| notes.join("; ")))
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

    /// Looks at memory: the bytes in use. Over the limit, the largest process goes, as the kernel would choose; where that
    /// is the suite's own, everything goes.
    fn sample(&mut self) -> (u64, Option<Hit>) {
        let processes = tree::below(getpid().as_raw());
        self.count(&processes);
        let (now, sizes) = self.memory(&processes);
        let sampled = &mut self.sampled;
        sampled.peak = sampled.peak.max(now);
        if !sampled.on || self.limits.memory.0.is_none_or(|most| now <= most) {
            return (now, None);
        }
        let largest = sizes.iter().max_by_key(|(_, size)| *size).map(|&(pid, _)| pid);
        if largest == self.suite || self.suite.is_none() {
            return (now, Some(Hit::Memory));
        }
        if let Some(largest) = largest {
            kill(Pid::from_raw(largest), Signal::SIGKILL).ok();
            sampled.kills += 1;
            self.note(Hit::Memory);
        }
        (now, None)
    }

    /// The bytes in use: of each process, and of all with what they put onto a disk that lies in memory.
    fn memory(&mut self, processes: &[Process]) -> (u64, Vec<(i32, u64)>) {
        let (sizes, disk) = (sizes(processes), self.disk.in_memory());
        let laid = *self.sampled.laid.get_or_insert(disk);
        (sizes.iter().map(|(_, size)| size).sum::<u64>() + disk.saturating_sub(laid), sizes)
    }

    /// Where nobody counts how often a process was refused: whether there are as many as there may be.
    fn count(&mut self, processes: &[Process]) {
        let threads: u64 = processes.iter().map(|process| process.threads).sum();
        if self.limits.pids.0.is_some_and(|most| threads >= most + self.own_processes) {
            self.sampled.crowded += 1;
            self.note(Hit::Processes);
        }
    }

    fn cpu_hit(&self) -> Option<Hit> {
        let most = self.limits.cpu_time.0?;
        let used = self.group.as_ref().and_then(Group::cpu).unwrap_or_else(cpu_below);
        (used > most).then_some(Hit::CpuTime)
    }
}

/// Processor time of all below this process, those that have ended too.
fn cpu_below() -> Duration {
    let running: Duration = tree::below(getpid().as_raw()).iter().map(Process::cpu).sum();
    running + cpu_of_ended()
}

/// Processor time of all below this process that have ended and were waited for.
pub(super) fn cpu_of_ended() -> Duration {
    let time = |value: TimeVal| {
        let micros = value.tv_sec() * 1_000_000 + value.tv_usec();
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    };
    getrusage(UsageWho::RUSAGE_CHILDREN)
        .map_or(Duration::ZERO, |usage| time(usage.user_time()) + time(usage.system_time()))
}

/// Proportional set sizes of processes, in bytes.
fn sizes(processes: &[Process]) -> Vec<(i32, u64)> {
    processes.iter().map(|process| (process.pid, proportional(process.pid))).collect()
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
