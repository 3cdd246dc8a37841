//! What `/proc` says: which processes belong to a folder, and how much one of them holds.

use std::fs;
use std::path::Path;

/// The processes that have to do with `folder`: it is in their working folder, command line or environment, or they
/// run a program that lies there. Zombies have none of these.
pub(crate) fn of(folder: &Path) -> Vec<String> {
    let needle = folder.display().to_string();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let at = entry.path();
            let read = |name: &str| {
                String::from_utf8_lossy(&fs::read(at.join(name)).unwrap_or_default()).into_owned()
            };
            let target = |name: &str| fs::read_link(at.join(name)).unwrap_or_default().display().to_string();
            let line = read("cmdline");
            let ours = pid != std::process::id()
                && [&line, &read("environ"), &target("cwd"), &target("exe")]
                    .iter()
                    .any(|text| text.contains(&needle));
            ours.then(|| format!("{pid}: {}", line.replace('\0', " ")))
        })
        .collect()
}

/// What a process holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// Resident memory in KiB.
    pub(crate) memory: u64,
    /// Open descriptors; nothing where the kernel does not let this user see them (the runner hides itself).
    pub(crate) descriptors: Option<u64>,
}

/// What the process `pid` holds now; nothing where it is gone.
pub(crate) fn usage(pid: u32) -> Option<Usage> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let memory = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok();
    Some(Usage { memory, descriptors: descriptors.map(|entries| entries.count() as u64) })
}
