//! The backend: whether it is there, takes the login, and keeps the same time.

use std::time::Duration;

use super::Finding;
use crate::backend::{Error, Probe, Settings, probe};
use text::units::show;

/// Further apart than this, and what the two write down no longer fits together.
const APART: Duration = Duration::from_secs(30);

/// What to do about the backend's own trouble.
fn its_own(settings: &Settings, route: &str) -> String {
    let asked = asks(settings, route);
    format!(
        "{asked}; who runs the backend finds more in its log, and the runner tries again until it is back"
    )
}

/// What shows the answer itself. Never of the route for tasks, which would hand one out.
fn asks(settings: &Settings, route: &str) -> String {
    format!("curl -i {}{route}", settings.backend_url.as_str().trim_end_matches('/'))
}

pub(super) async fn look(settings: &Settings) -> Vec<Finding> {
    let url = &settings.backend_url;
    let probe = match probe(settings).await {
        Ok(probe) => probe,
        Err(error) => {
            let mend = format!("curl -v {url}; correct --backend-url where it is another");
            return vec![Finding::failure("backend", format!("{url} cannot be reached: {error}"), mend)];
        }
    };
    let mut findings = vec![reached(settings, &probe), login(settings, &probe)];
    findings.extend(role(settings, &probe));
    findings.extend(clock(&probe));
    findings
}

fn reached(settings: &Settings, probe: &Probe) -> Finding {
    let (url, route, status) = (&settings.backend_url, &settings.post_api, probe.status);
    let other = |how: &str| {
        let mend = format!("{}; correct --backend-url or --post-api", asks(settings, route));
        Finding::warning("backend", format!("{url} answers, but {route} {how}"), mend)
    };
    match status {
        404 => other("with 404"),
        _ if probe.is_another => other("as no backend does: it has no such route, or a page there"),
        // That it does not know this method says nothing of those that the runner needs.
        501 => Finding::ok("backend", format!("{url} answers")),
        500.. => Finding::failure("backend", format!("{url} answers {status}"), its_own(settings, route)),
        _ => Finding::ok("backend", format!("{url} answers")),
    }
}

fn login(settings: &Settings, probe: &Probe) -> Finding {
    let user = &settings.login;
    match &probe.login {
        Some(Ok(_)) => Finding::ok("login", format!("accepted for {user}")),
        Some(Err(error)) => no_login(settings, error),
        None if matches!(probe.status, 401 | 403) => {
            let says = format!("the backend wants one: {} answers {}", settings.post_api, probe.status);
            Finding::failure("login", says, "start the runner with --auth, --login and --password-file")
        }
        None => Finding::ok("login", "none (no --auth)"),
    }
}

/// Only what judges the user and the password is answered by others: a backend that is away knows them as well as ever.
fn no_login(settings: &Settings, error: &Error) -> Finding {
    let user = &settings.login;
    let (says, mend) = match error {
        Error::Status { status: 400 | 401 | 403, .. } => (
            format!("refused for {user}: {error}"),
            "set --login and --password-file (or RUNNER_PASSWORD) to what the backend knows".to_owned(),
        ),
        Error::Status { status: 429 | 500.., .. } => {
            (format!("cannot be tried: {error}"), its_own(settings, &settings.login_api))
        }
        _ => {
            let mend =
                format!("{}; correct --backend-url or --login-api", asks(settings, &settings.login_api));
            (format!("cannot be tried: {error}"), mend)
        }
    };
    Finding::failure("login", says, mend)
}

/// Whether the user may take tasks. To ask for a task would be to take one: the token's own words and the route for
/// results have to do.
fn role(settings: &Settings, probe: &Probe) -> Option<Finding> {
    let Some(Ok(roles)) = &probe.login else { return None };
    let user = &settings.login;
    let mend =
        format!("have an administrator of the backend give {user} the role ADMIN, or use another --login");
    if matches!(probe.status, 401 | 403) {
        let says = format!("{} answers {} to {user}", settings.post_api, probe.status);
        return Some(Finding::failure("role", says, mend));
    }
    let admin = |role: &String| matches!(role.as_str(), "ADMIN" | "ROLE_ADMIN");
    Some(match roles {
        Some(roles) if roles.iter().any(admin) => {
            Finding::ok("role", format!("the token of {user} names ADMIN"))
        }
        Some(roles) => {
            let says = format!("the token of {user} names {}, not ADMIN", roles.join(", "));
            Finding::failure("role", says, mend)
        }
        None => Finding::warning(
            "role",
            format!("not known for {user}: it can be asked only by taking a task"),
            "journalctl -u ostest-runner -g 403, or the log elsewhere: after its first question it says where it is not enough",
        ),
    })
}

fn clock(probe: &Probe) -> Option<Finding> {
    let (theirs, ours) = probe.clocks?;
    let (apart, which) = match theirs.duration_since(ours) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    // The backend's `Date` has whole seconds.
    if apart <= APART {
        return Some(Finding::ok("clock", "the backend's agrees"));
    }
    let says =
        format!("the backend's is {} {which} this machine's", show(Duration::from_secs(apart.as_secs())));
    Some(Finding::warning("clock", says, "timedatectl set-ntp true (here or there; tokens are not affected)"))
}
