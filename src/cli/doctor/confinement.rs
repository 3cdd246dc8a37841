//! How strongly tasks can be confined here, feature by feature, and what stands in the way of more.

use std::fs;
use std::path::Path;

use super::machine::{self, refusing};
use super::{Finding, cause};
use sandbox::command::BWRAP;
use sandbox::confine::{Choice, Feature, Level, Network, Sandbox};
use sandbox::trial::FindError;

/// `ground` is where it was tried.
pub(super) fn look(found: &Result<Sandbox, FindError>, ground: &Path) -> Vec<Finding> {
    let sandbox = match found {
        Ok(sandbox) => sandbox,
        Err(error) => {
            let mend = cause::mend_trials(error.trials(), ground)
                .unwrap_or_else(|| format!("{}; or ask for less with --sandbox-require", mend_bwrap()));
            return vec![Finding::failure("sandbox", error.to_string(), mend)];
        }
    };
    let mut findings = vec![level(sandbox, ground)];
    let chosen = sandbox.settings.sandbox == Choice::None;
    for (feature, mechanism) in sandbox.enforcement().features {
        let (check, mechanism_name) = (format!("sandbox {}", feature.name()), mechanism.to_string());
        findings.push(if mechanism.is_weak() && !chosen && matters(sandbox, feature) {
            Finding::warning(check, mechanism_name, mend(feature))
        } else {
            Finding::ok(check, mechanism_name)
        });
    }
    findings
}

fn level(sandbox: &Sandbox, ground: &Path) -> Finding {
    let name = sandbox.level.name();
    match (sandbox.weaker_because(), sandbox.level, sandbox.settings.sandbox) {
        (None, Level::Bwrap, _) => Finding::ok("sandbox", format!("{name}, the strongest")),
        (None, Level::None, _) => Finding::warning(
            "sandbox",
            "none: a task may do whatever the runner may",
            "leave --sandbox none out",
        ),
        (None, Level::Basic, Choice::Basic) => {
            Finding::warning("sandbox", format!("{name}, as asked for"), "leave --sandbox basic out")
        }
        (because, ..) => {
            let why = because.map(|why| format!(": {why}")).unwrap_or_default();
            let mend = cause::mend_trials(&sandbox.failed_trials, ground).unwrap_or_else(mend_bwrap);
            Finding::warning("sandbox", format!("{name}{why}"), mend)
        }
    }
}

/// Without root nobody changes users; and a network that was asked for is no surprise.
fn matters(sandbox: &Sandbox, feature: Feature) -> bool {
    let open = sandbox.settings.network == Network::Host;
    !(feature == Feature::UserDrop && !nix::unistd::geteuid().is_root()
        || open && matches!(feature, Feature::NetworkNamespace | Feature::Inet))
}

fn mend(feature: Feature) -> &'static str {
    match feature {
        Feature::PidNamespace
        | Feature::NetworkNamespace
        | Feature::Inet
        | Feature::MountNamespace
        | Feature::Disk => "bwrap gives it: see the line `sandbox`",
        Feature::UserDrop => {
            "docker run --cap-add SETUID --cap-add SETGID --cap-add CHOWN, or the same in CapabilityBoundingSet="
        }
        Feature::Landlock => {
            "cat /sys/kernel/security/lsm; where landlock is missing: a kernel from 5.13 on, with it among `lsm=` on its command line"
        }
        Feature::Memory | Feature::Pids | Feature::Cpu => {
            "systemctl edit ostest-runner, and there Delegate=cpu memory pids below [Service]"
        }
        Feature::Seccomp => "grep Seccomp /proc/self/status; a kernel with CONFIG_SECCOMP_FILTER",
        Feature::Suite => "runner --logger-level debug doctor; docs/security.md says what each feature needs",
    }
}

/// What makes bubblewrap work where it does not. Its own words, which say what it could not do, are not in here.
fn mend_bwrap() -> String {
    if !Path::new(BWRAP).exists() {
        return "apt-get install bubblewrap".to_owned();
    }
    // Root needs no user namespaces.
    let refusing =
        if nix::unistd::geteuid().is_root() { Vec::new() } else { refusing(Path::new("/proc/sys")) };
    if !refusing.is_empty() {
        return machine::mend(&refusing);
    }
    if in_container(Path::new("/")) {
        let options = "--security-opt seccomp=docker/seccomp.json --security-opt systempaths=unconfined";
        return format!("start the container with {options}, see docs/container.md");
    }
    format!("{BWRAP} --unshare-all --dev-bind / / true; docs/security.md says what it needs")
}

/// Whether this is a container, or a part of /proc is covered as in one, after which no task gets a /proc of its own.
fn in_container(root: &Path) -> bool {
    let read = |path: &str| fs::read(root.join(path)).unwrap_or_default();
    let said = read("proc/1/environ").split(|&byte| byte == 0).any(|word| word.starts_with(b"container="));
    let mounts = String::from_utf8_lossy(&read("proc/self/mountinfo")).into_owned();
    // The fifth word is where something is mounted. What is below /proc/sys/fs is the system's own.
    let covered = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    let covered = covered.into_iter().any(|at| at.starts_with("/proc/") && !at.starts_with("/proc/sys/fs/"));
    said || covered || [".dockerenv", "run/.containerenv"].iter().any(|mark| root.join(mark).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detects_containers_by_marks_and_mounts() {
        const PLAIN: &str =
            "22 27 0:21 / /proc rw - proc proc rw\n30 22 0:9 / /proc/sys/fs/binfmt_misc rw - x x rw\n";
        let covered = format!("{PLAIN}31 22 0:22 / /proc/kcore rw - tmpfs tmpfs rw\n");
        for (file, content, is) in [
            ("proc/self/mountinfo", PLAIN, false),
            ("proc/self/mountinfo", &covered, true),
            ("proc/1/environ", "HOME=/\0container=podman\0", true),
            ("proc/1/environ", "HOME=/\0in_container=no\0", false),
            (".dockerenv", "", true),
            ("run/.containerenv", "", true),
        ] {
            let root = tempfile::tempdir().unwrap();
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
            assert_eq!(in_container(root.path()), is, "{file}: {content:?}");
        }
    }
}
