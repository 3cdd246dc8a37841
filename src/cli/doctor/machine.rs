//! Checks settings of the kernel and limits of this process.

use std::fs;
use std::path::Path;

use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::geteuid;

use super::{Finding, cause};
use crate::config::Settings;

/// Open files that the runner needs: for itself, and for each running task.
const FILES: (u64, u64) = (128, 32);

pub(super) fn check(settings: &Settings) -> Vec<Finding> {
    let mut findings = vec![core_pattern()];
    findings.extend(limits(settings));
    findings.extend(file_size(settings));
    findings.push(namespaces());
    findings
}

fn sysctl(name: &str) -> Option<String> {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// Students' programs crash often, and the kernel starts a core handler for each crash, outside of the sandbox.
fn core_pattern() -> Finding {
    match sysctl("kernel.core_pattern") {
        Some(handler) if handler.starts_with('|') => Finding::warning(
            "core pattern",
            format!("each crash of a student's program starts {}", &handler[1..]),
            "sysctl -w kernel.core_pattern=core",
        ),
        Some(pattern) if pattern.starts_with('/') => Finding::warning(
            "core pattern",
            format!("cores are written to {pattern}, where nothing removes them"),
            "sysctl -w kernel.core_pattern=core",
        ),
        Some(pattern) => Finding::ok("core pattern", pattern),
        None => Finding::ok("core pattern", "this kernel has none"),
    }
}

/// Limits of open files and processes.
fn limits(settings: &Settings) -> Vec<Finding> {
    let tasks = settings.poll.concurrent as u64;
    let processes = settings.sandbox.limits.pids.0.unwrap_or(1024);
    // The limit does not hold for root.
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

/// The limit of one file's size. The kernel kills a runner, and each of its children, that exceeds it.
fn file_size(settings: &Settings) -> Option<Finding> {
    let (soft, _) = getrlimit(Resource::RLIMIT_FSIZE).ok()?;
    let needed = settings.checkout.max_repository;
    Some(match soft {
        nix::libc::RLIM_INFINITY => Finding::ok("file size", "unlimited"),
        _ if soft >= needed => Finding::ok("file size", format!("at most {soft} bytes")),
        _ => {
            let says = format!("at most {soft} bytes; a repository may have {needed}");
            Finding::warning("file size", says, cause::FILE_SIZE)
        }
    })
}

/// Whether a user without privileges may make namespaces, which bubblewrap needs without root.
fn namespaces() -> Finding {
    if geteuid().is_root() {
        return Finding::ok("user namespaces", "not needed as root");
    }
    match refusing(Path::new("/proc/sys")).as_slice() {
        [] => Finding::ok("user namespaces", "allowed"),
        refusing => {
            let are: Vec<_> = refusing.iter().map(Refusing::says).collect();
            let says = format!("{}: bubblewrap cannot work", are.join(", "));
            Finding::warning("user namespaces", says, mend(refusing))
        }
    }
}

/// A setting of the kernel that forbids namespaces to users without privileges.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusing {
    name: &'static str,
    /// The value that forbids them.
    is: &'static str,
    /// A value that allows them.
    better: &'static str,
}

impl Refusing {
    fn says(&self) -> String {
        format!("{} is {}", self.name, self.is)
    }
}

/// The settings that forbid namespaces here; one is enough to do so. `settings` is `/proc/sys`.
pub(super) fn refusing(settings: &Path) -> Vec<Refusing> {
    let known = [
        Refusing { name: "user.max_user_namespaces", is: "0", better: "15000" },
        Refusing { name: "kernel.unprivileged_userns_clone", is: "0", better: "1" },
        Refusing { name: "kernel.apparmor_restrict_unprivileged_userns", is: "1", better: "0" },
    ];
    let is = |setting: &Refusing| {
        let text = fs::read_to_string(settings.join(setting.name.replace('.', "/")));
        text.is_ok_and(|text| text.trim() == setting.is)
    };
    known.into_iter().filter(is).collect()
}

/// The command that allows namespaces until the next boot.
pub(super) fn mend(refusing: &[Refusing]) -> String {
    let settings: Vec<_> =
        refusing.iter().map(|setting| format!("{}={}", setting.name, setting.better)).collect();
    format!("sysctl -w {}; a file in /etc/sysctl.d makes that permanent", settings.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mend_names_setting_and_better_value() {
        let folder = tempfile::tempdir().unwrap();
        let set = |name: &str, value: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{value}\n")).unwrap();
        };
        assert_eq!(refusing(folder.path()), [], "a kernel that has none of them");
        for (name, fine, refuses, command) in [
            ("user/max_user_namespaces", "10", "0", "sysctl -w user.max_user_namespaces=15000;"),
            ("kernel/unprivileged_userns_clone", "1", "0", "sysctl -w kernel.unprivileged_userns_clone=1;"),
            (
                "kernel/apparmor_restrict_unprivileged_userns",
                "0",
                "1",
                "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0;",
            ),
        ] {
            set(name, refuses);
            let mend = mend(&refusing(folder.path()));
            assert!(mend.starts_with(command), "{mend}");
            set(name, fine);
            assert_eq!(refusing(folder.path()), []);
        }
    }
}
