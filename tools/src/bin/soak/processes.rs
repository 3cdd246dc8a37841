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

/// The resident memory of the process `pid` now, in KiB; nothing where it is gone.
pub(crate) fn memory(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

/// How many descriptors the process `pid` has open now; nothing where this user may not see them.
pub(crate) fn descriptors(pid: u32) -> Option<u64> {
    Some(fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64)
}
