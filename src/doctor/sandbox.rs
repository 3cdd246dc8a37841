//! How strongly tasks can be confined here, feature by feature.

use super::Finding;
use crate::sandbox::{Choice, Level, Network, Sandbox};

pub(super) fn look(found: &Result<Sandbox, String>) -> Vec<Finding> {
    let sandbox = match found {
        Ok(sandbox) => sandbox,
        Err(why) => {
            let mend = "apt-get install bubblewrap, or ask for less with --sandbox-require";
            return vec![Finding::failure("sandbox", why, mend)];
        }
    };
    let mut findings = vec![level(sandbox)];
    let chosen = sandbox.settings.sandbox == Choice::None;
    for (feature, how) in sandbox.line().split(' ').filter_map(|word| word.split_once('=')) {
        let check = format!("sandbox {feature}");
        let weak = matches!(how, "no" | "sampled" | "rlimit" | "watched" | "host");
        findings.push(if weak && !chosen && matters(sandbox, feature) {
            Finding::warning(check, how, mend(feature))
        } else {
            Finding::ok(check, how)
        });
    }
    findings
}

fn level(sandbox: &Sandbox) -> Finding {
    let name = sandbox.level.name();
    match (&sandbox.weaker_because, sandbox.level) {
        (None, Level::Bwrap) => Finding::ok("sandbox", format!("{name}, the strongest")),
        (None, Level::None) => Finding::warning(
            "sandbox",
            "none: a task may do whatever the runner may",
            "leave --sandbox none out",
        ),
        (because, _) => {
            let why = because.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            Finding::warning(
                "sandbox",
                format!("{name}{why}"),
                "apt-get install bubblewrap; then as the lines below say",
            )
        }
    }
}

/// Without root nobody changes users; and a network that was asked for is no surprise.
fn matters(sandbox: &Sandbox, feature: &str) -> bool {
    let open = sandbox.settings.network == Network::Host;
    !(feature == "uid-drop" && !nix::unistd::geteuid().is_root()
        || open && matches!(feature, "netns" | "inet"))
}

fn mend(feature: &str) -> &'static str {
    match feature {
        "pidns" | "netns" | "inet" | "mountns" | "disk" => {
            "apt-get install bubblewrap; as another user than root: sysctl -w kernel.unprivileged_userns_clone=1"
        }
        "uid-drop" => "leave the runner CAP_SETUID, CAP_SETGID and CAP_CHOWN",
        "landlock" => "a kernel from 5.13 on, with landlock among `lsm=` on its command line",
        "memory" | "pids" | "cpu" => "delegate a control group: Delegate=yes in the systemd unit",
        _ => "see docs/security.md",
    }
}
