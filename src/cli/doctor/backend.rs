//! Checks the backend: whether it answers, accepts the login, and has the same time.

use std::time::Duration;

use super::Finding;
use crate::backend::{Error, Probe, Settings, probe};
use text::units::show;

/// Largest difference of the clocks; beyond it the times in the logs of the two no longer match.
const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(30);

/// What to do about an error of the backend itself.
fn backend_error(settings: &Settings, route: &str) -> String {
    let request = request(settings, route);
    format!("{request}; the log of the backend says more; the runner tries again until the backend is back")
}

/// The command that shows the answer of `route`. It must not be the route for tasks, which would claim one.
fn request(settings: &Settings, route: &str) -> String {
    format!("curl -i {}{route}", settings.backend_url.as_str().trim_end_matches('/'))
}

pub(super) async fn check(settings: &Settings) -> Vec<Finding> {
    let url = &settings.backend_url;
    let probe = match probe(settings).await {
        Ok(probe) => probe,
        Err(error) => {
            let mend = format!("curl -v {url}; correct --backend-url if it is wrong");
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
        let mend = format!("{}; correct --backend-url or --post-api", request(settings, route));
        Finding::warning("backend", format!("{url} answers, but {route} {how}"), mend)
    };
    match status {
        404 => other("with 404"),
        _ if probe.is_another => other("as no backend does: the route does not exist, or is a page"),
        // The probe's method is unknown; those that the runner needs may be known.
        501 => Finding::ok("backend", format!("{url} answers")),
        500.. => {
            Finding::failure("backend", format!("{url} answers {status}"), backend_error(settings, route))
        }
        _ => Finding::ok("backend", format!("{url} answers")),
    }
}

fn login(settings: &Settings, probe: &Probe) -> Finding {
    let user = &settings.login;
    match &probe.login {
        Some(Ok(_)) => Finding::ok("login", format!("accepted for {user}")),
        Some(Err(error)) => no_login(settings, error),
        None if matches!(probe.status, 401 | 403) => {
            let says = format!("the backend requires one: {} answers {}", settings.post_api, probe.status);
            Finding::failure("login", says, "start the runner with --auth, --login and --password-file")
        }
        None => Finding::ok("login", "none (no --auth)"),
    }
}

/// The finding for a failed login. User and password are to blame only if the backend has judged them.
fn no_login(settings: &Settings, error: &Error) -> Finding {
    let user = &settings.login;
    let (says, mend) = match error {
        Error::Status { status: 400 | 401 | 403, .. } => (
            format!("refused for {user}: {error}"),
            "set --login and --password-file (or RUNNER_PASSWORD) to what the backend knows".to_owned(),
        ),
        Error::Status { status: 429 | 500.., .. } => {
            (format!("cannot be tried: {error}"), backend_error(settings, &settings.login_api))
        }
        _ => {
            let mend =
                format!("{}; correct --backend-url or --login-api", request(settings, &settings.login_api));
            (format!("cannot be tried: {error}"), mend)
        }
    };
    Finding::failure("login", says, mend)
}

/// Whether the user may take tasks. Asking for a task would claim one, so the roles in the token and the route for results
/// have to suffice.
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
            format!("unknown for {user}: the token names no roles, and only claiming a task would show it"),
            "journalctl -u ostest-runner -g 403: after its first poll the runner logs whether the role is missing",
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
    if apart <= MAX_CLOCK_DIFFERENCE {
        return Some(Finding::ok("clock", "the backend's agrees"));
    }
    let says =
        format!("the backend's is {} {which} this machine's", show(Duration::from_secs(apart.as_secs())));
    Some(Finding::warning("clock", says, "timedatectl set-ntp true (here or there; tokens are not affected)"))
}
