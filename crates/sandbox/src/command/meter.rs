//! Measurement of a command: what it uses, and which limits it hits. A control group measures it, or, without one, samples
//! that are taken at short intervals.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeVal;
use nix::unistd::{Pid, getpid};

use super::disk::{Depth, Disk};
use super::limit_hit::LimitHit;
use super::tree::{self, Process};
use crate::confine::cgroup::Group;
use crate::confine::memory_baseline::MemoryBaseline;
use crate::confine::{Level, Limits, Plan};

/// Interval of samples of memory and processes where no control group counts them.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(20);

/// Interval of checks of processor time.
const CPU_INTERVAL: Duration = Duration::from_millis(100);

/// Measures one command.
pub(super) struct Meter {
    group: Option<Group>,
    limits: Limits,
    disk: Disk,
    /// The limit of the disk that refused writes since the running case began.
    full: Option<LimitHit>,
    limit_hits: Vec<LimitHit>,
    /// Process id of the suite's interpreter, once it has sent a message.
    interpreter: Option<i32>,
    /// Kills at the limit of memory that were reported with a case.
    reported_kills: u64,
    /// Refused processes that were reported with a case.
    reported_refusals: u64,
    sampled: Sampled,
    /// Processes of the sandbox itself, which the limit does not include.
    sandbox_processes: u64,
    next_disk: Instant,
    next_cpu: Instant,
    next_sample: Instant,
}

/// Measurement by samples.
#[derive(Debug, Default)]
struct Sampled {
    /// Whether samples enforce a limit.
    enforces: bool,
    /// Whether a case has begun: samples are taken from then on.
    cases: bool,
    baseline: MemoryBaseline,
    /// Peak since the last case's end, in bytes.
    peak: u64,
    /// Bytes on the command's own disk before it started.
    initial_disk: Option<u64>,
    /// Processes that were killed at the limit of memory.
    kills: u64,
    /// Samples that found as many processes as the limit allows.
    crowded: u64,
}

impl Meter {
    pub(super) fn new(plan: &Plan, group: Option<Group>) -> Self {
        let limits = &plan.limits;
        let enforces = group.is_none() && (limits.memory.0.is_some() || limits.pids.0.is_some());
        let (sampled, now) = (Sampled { enforces, ..Sampled::default() }, Instant::now());
        Self {
            group,
            limits: plan.limits,
            disk: Disk::of(plan),
            full: None,
            limit_hits: Vec::new(),
            interpreter: None,
            reported_kills: 0,
            reported_refusals: 0,
            sampled,
            sandbox_processes: u64::from(plan.level == Level::Bwrap) + u64::from(plan.brokered),
            next_disk: now,
            next_cpu: now,
            next_sample: now,
        }
    }

    pub(super) fn group(&self) -> Option<&Group> {
        self.group.as_ref()
    }

    /// Returns how long to wait before the next [`Self::look`]; none: nothing is sampled.
    pub(super) fn pause(&self) -> Option<Duration> {
        let disk = self.disk.is_limited().then_some(self.next_disk);
        let cpu = self.limits.cpu_time.0.is_some().then_some(self.next_cpu);
        let sample = (self.sampled.enforces || self.sampled.cases).then_some(self.next_sample);
        let next = disk.into_iter().chain(cpu).chain(sample).min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    /// Checks the limits that the kernel does not enforce. Returns the limit for which the command must be killed.
    pub(super) fn look(&mut self) -> Option<LimitHit> {
        let started = Instant::now();
        let mut hit = None;
        if (self.sampled.enforces || self.sampled.cases) && started >= self.next_sample {
            (_, hit) = self.sample();
            // Sampling must not use more processor time than the command.
            self.next_sample = Instant::now() + SAMPLE_INTERVAL.max(started.elapsed() * 3);
        }
        if started >= self.next_disk {
            hit = hit.or(self.look_at_disk(Depth::Running));
        }
        if started >= self.next_cpu {
            hit = hit.or_else(|| self.cpu_hit());
            self.next_cpu = Instant::now() + CPU_INTERVAL;
        }
        hit.inspect(|&hit| self.note(hit))
    }

    /// Checks the disk now. Notes a limit that it hits, and returns it if the command must be killed for it.
    pub(super) fn look_at_disk(&mut self, depth: Depth) -> Option<LimitHit> {
        let (hit, pause) = self.disk.look(&self.limits, depth);
        self.next_disk = Instant::now() + pause;
        if let Some(hit) = hit {
            self.note(hit);
            self.full = Some(hit);
        }
        hit.filter(|hit| hit.kills())
    }

    /// Notes a limit that the command hit.
    pub(super) fn note(&mut self, hit: LimitHit) {
        if !self.limit_hits.contains(&hit) {
            self.limit_hits.push(hit);
        }
    }

    /// Begins a case in the process `interpreter`.
    pub(super) fn begin_case(&mut self, interpreter: Option<Pid>) {
        self.full = None;
        if let Some(group) = &mut self.group {
            return group.begin_case(interpreter);
        }
        self.interpreter = interpreter.map(Pid::as_raw).or(self.interpreter);
        let (now, _) = self.memory(&tree::below(getpid().as_raw()));
        self.sampled.cases = true;
        if self.sampled.baseline.begin(now, self.sampled.peak) {
            self.sampled.peak = now;
        }
    }

    /// Ends the case. Returns its peak in bytes above the suite's own use, and the limits that it hit, in words.
    pub(super) fn end_case(&mut self) -> (Option<u64>, Option<String>) {
        let peak = if let Some(group) = &mut self.group {
            group.end_case()
        } else {
            let (now, _) = self.sample();
            let peak = std::mem::replace(&mut self.sampled.peak, now);
            Some(self.sampled.baseline.end(now, peak))
        };
        if matches!(self.disk, Disk::Own(_)) {
            self.look_at_disk(Depth::Running);
        }
        let group = self.group.as_ref();
        let kills = group.map_or(self.sampled.kills, Group::memory_kills);
        let refused = group.map_or(self.sampled.crowded, Group::refused_processes);
        let limit_hits = [
            (kills > self.reported_kills).then_some(LimitHit::Memory),
            (refused > self.reported_refusals).then_some(LimitHit::Processes),
            self.full,
        ];
        (self.reported_kills, self.reported_refusals) = (kills, refused);
        let notes: Vec<String> = limit_hits.into_iter().flatten().map(|hit| hit.note(&self.limits)).collect();
        (peak, (!notes.is_empty()).then(|| notes.join("; ")))
    }

    /// Takes all limits that the command hit.
    pub(super) fn limit_hits(&mut self) -> Vec<LimitHit> {
        if let Some(group) = &self.group {
            let (memory, processes) = (group.memory_kills(), group.refused_processes());
            if memory > 0 {
                self.note(LimitHit::Memory);
            }
            if processes > 0 {
                self.note(LimitHit::Processes);
            }
        }
        std::mem::take(&mut self.limit_hits)
    }

    /// Samples memory; returns the bytes in use. Above the limit it kills the largest process, as the kernel would; if that is
    /// the suite's interpreter, it returns the limit for which the whole command must be killed.
    fn sample(&mut self) -> (u64, Option<LimitHit>) {
        let processes = tree::below(getpid().as_raw());
        self.count(&processes);
        let (now, sizes) = self.memory(&processes);
        let sampled = &mut self.sampled;
        sampled.peak = sampled.peak.max(now);
        if !sampled.enforces || self.limits.memory.0.is_none_or(|max| now <= max) {
            return (now, None);
        }
        let largest = sizes.iter().max_by_key(|(_, size)| *size).map(|&(pid, _)| pid);
        if largest == self.interpreter || self.interpreter.is_none() {
            return (now, Some(LimitHit::Memory));
        }
        if let Some(largest) = largest {
            kill(Pid::from_raw(largest), Signal::SIGKILL).ok();
            sampled.kills += 1;
            self.note(LimitHit::Memory);
        }
        (now, None)
    }

    /// Returns the bytes in use by all processes, with what they wrote to a disk that is in memory; and those of each process.
    fn memory(&mut self, processes: &[Process]) -> (u64, Vec<(i32, u64)>) {
        let (sizes, disk) = (sizes(processes), self.disk.in_memory());
        let initial = *self.sampled.initial_disk.get_or_insert(disk);
        (sizes.iter().map(|(_, size)| size).sum::<u64>() + disk.saturating_sub(initial), sizes)
    }

    /// Notes whether there are as many processes as the limit allows: without a control group nothing counts refusals.
    fn count(&mut self, processes: &[Process]) {
        let threads: u64 = processes.iter().map(|process| process.threads).sum();
        if self.limits.pids.0.is_some_and(|max| threads >= max + self.sandbox_processes) {
            self.sampled.crowded += 1;
            self.note(LimitHit::Processes);
        }
    }

    fn cpu_hit(&self) -> Option<LimitHit> {
        let max = self.limits.cpu_time.0?;
        let used = self.group.as_ref().and_then(Group::cpu).unwrap_or_else(cpu_below);
        (used > max).then_some(LimitHit::CpuTime)
    }
}

/// Returns the processor time of all processes below this one, also of those that have ended.
fn cpu_below() -> Duration {
    let running: Duration = tree::below(getpid().as_raw()).iter().map(Process::cpu).sum();
    running + cpu_of_ended()
}

/// Returns the processor time of all processes below this one that have ended and were waited for.
pub(super) fn cpu_of_ended() -> Duration {
    let time = |value: TimeVal| {
        let micros = value.tv_sec() * 1_000_000 + value.tv_usec();
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    };
    getrusage(UsageWho::RUSAGE_CHILDREN)
        .map_or(Duration::ZERO, |usage| time(usage.user_time()) + time(usage.system_time()))
}

/// Returns the proportional set sizes of processes, in bytes.
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
        // A process that is not dumpable shows its resident set only.
        field(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "VmRSS:")
    });
    kib.unwrap_or(0) * 1024
}
