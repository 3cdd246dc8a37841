//! Settings of the kernel and of this process that a run feels.

use std::fs;

use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::geteuid;

use super::Finding;
use crate::config::Settings;

/// Open files that a runner needs for itself, and for each task that runs.
const FILES: (u64, u64) = (128, 32);

pub(super) fn look(settings: &Settings) -> Vec<Finding> {
    let mut findings = vec![core_pattern()];
    findings.extend(limits(settings));
    findings.push(namespaces());
    findings
}

fn sysctl(name: &str) -> Option<String> {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// A student's program crashes often; a handler of cores is started for each, outside of every sandbox.
fn core_pattern() -> Finding {
    match sysctl("kernel.core_pattern") {
        Some(handler) if handler.starts_with('|') => Finding::warning(
            "core pattern",
            format!("each crash of a student's program starts {}", &handler[1..]),
            "sysctl -w kernel.core_pattern=core",
        ),
        Some(pattern) if pattern.starts_with('/') => Finding::warning(
            "core pattern",
            format!("cores are written to {pattern}, where nobody removes them"),
            "sysctl -w kernel.core_pattern=core",
        ),
        Some(pattern) => Finding::ok("core pattern", pattern),
        None => Finding::ok("core pattern", "not told by this kernel"),
    }
}

fn limits(settings: &Settings) -> Vec<Finding> {
    let tasks = settings.poll.concurrent as u64;
    let processes = settings.sandbox.limits.pids.0.unwrap_or(1024);
    // Root's processes are not counted.
    let needed = if geteuid().is_root() { 0 } else { processes.saturating_mul(tasks) };
    [
        ("open files", Resource::RLIMIT_NOFILE, FILES.0 + FILES.1 * tasks, "ulimit -n", "LimitNOFILE"),
        ("processes", Resource::RLIMIT_NPROC, needed, "ulimit -u", "LimitNPROC"),
    ]
    .into_iter()
    .filter_map(|(check, resource, needed, command, unit)| {
        let (soft, _) = getrlimit(resource).ok()?;
        let shown = if soft == nix::libc::RLIM_INFINITY { "unlimited".to_owned() } else { soft.to_string() };
        Some(if soft < needed {
            let says = format!("at most {shown}; {tasks} tasks at a time may need {needed}");
            Finding::warning(
                check,
                says,
                format!("{command} {needed}, or {unit}={needed} in the systemd unit"),
            )
        } else {
            Finding::ok(check, format!("at most {shown}"))
        })
    })
    .collect()
}

/// Whether a user without privileges may make namespaces, as bubblewrap does then.
fn namespaces() -> Finding {
    if geteuid().is_root() {
        return Finding::ok("user namespaces", "not needed as root");
    }
    let refusing = [
        ("user.max_user_namespaces", "0", "15000"),
        ("kernel.unprivileged_userns_clone", "0", "1"),
        ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
    ];
    let found = refusing.into_iter().find(|(name, refuses, _)| sysctl(name).as_deref() == Some(refuses));
    match found {
        Some((name, value, better)) => Finding::warning(
            "user namespaces",
            format!("{name} is {value}: bubblewrap cannot work"),
            format!("sysctl -w {name}={better}"),
        ),
        None => Finding::ok("user namespaces", "allowed"),
    }
}
