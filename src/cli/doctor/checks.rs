//! Runs all checks, in the order in which their findings are printed.

use std::path::Path;

use super::{Finding, backend, cause, confinement, machine, programs, state};
use crate::config::{Config, Settings};
use crate::git::GitClient;
use crate::live::Live;
use crate::observe::Observe;
use sandbox::command::Launcher;
use sandbox::confine::Sandbox;
use sandbox::trial::FindError;

/// What the checks look at: the settings and what they led to.
pub(super) struct Subject<'a> {
    /// The settings as they were given.
    pub(super) given: &'a Settings,
    /// Why the settings file is unusable; then `given` holds nothing of it.
    pub(super) file_error: Option<String>,
    /// Settings that are valid but should be changed.
    pub(super) warnings: Vec<String>,
    /// The checked settings, or why they are unusable. If the state folder does not exist yet, they have a temporary one.
    pub(super) config: Result<&'a Config, String>,
    /// The folder in which the trials take place. It must outlive them.
    pub(super) ground: &'a Path,
    /// Starts the commands of the checks.
    pub(super) launcher: Launcher,
    /// The sandbox for tasks, or why there is none; none if it was not tried.
    pub(super) sandbox: Option<Result<Sandbox, FindError>>,
    /// What is being checked, for the progress line.
    pub(super) area: &'a Live<&'static str>,
}

/// Runs all checks.
pub(super) async fn run(subject: Subject<'_>) -> Vec<Finding> {
    let settings = subject.given;
    let mut findings = settings_findings(&subject);
    subject.area.set("programs");
    if settings.execute.runs_programs() {
        findings.extend(programs::check(&subject.launcher).await);
    }
    if subject.file_error.is_some() {
        // The file may name other folders.
        findings.extend(["state folder", "disk", "inodes"].map(Finding::skipped));
    } else {
        findings.extend(state::check(settings));
    }
    if let Ok(config) = subject.config {
        findings.extend(remote_findings(&subject, config).await);
    } else {
        let of_tasks = ["suite", "sandbox"].into_iter().filter(|_| settings.execute.runs_programs());
        findings.extend(["backend", "login"].into_iter().chain(of_tasks).map(Finding::skipped));
    }
    if let Some(sandbox) = &subject.sandbox {
        findings.extend(confinement::look(sandbox, subject.ground));
    }
    findings.extend(machine::check(settings));
    findings
}

/// Errors and warnings of the settings themselves.
fn settings_findings(subject: &Subject<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(error) = &subject.file_error {
        let mend = "correct that line of the file, then: runner config check, with the same options";
        findings.push(Finding::failure("settings", error, mend));
    } else if let Err(error) = &subject.config {
        let mend = cause::mend_message(error, subject.ground);
        let mend = mend.unwrap_or_else(|| {
            "runner config check, with the same options, until it exits with 0".to_owned()
        });
        findings.push(Finding::failure("settings", error, mend));
    }
    for warning in &subject.warnings {
        let mend = match warning.rsplit_once("; ") {
            Some((_, command)) if command.starts_with("chmod") => command,
            _ => "systemctl cat ostest-runner, or env | grep RUNNER_; correct or remove the variable",
        };
        findings.push(Finding::warning("settings", warning, mend));
    }
    findings
}

/// Checks of the backend and the suite, which need checked settings.
async fn remote_findings(subject: &Subject<'_>, config: &Config) -> Vec<Finding> {
    subject.area.set("the backend");
    // The checked settings hold the password, the given ones do not.
    let mut findings = backend::check(&config.settings.backend).await;
    if subject.given.execute.runs_programs() {
        subject.area.set("the suite");
        let launcher = match &subject.sandbox {
            Some(Ok(sandbox)) => subject.launcher.clone().confined(sandbox.clone()),
            _ => subject.launcher.clone(),
        };
        let limits = config.running.checkout.clone();
        let checkout = GitClient::new(limits, launcher, Observe::default(), &config.folders.state);
        findings.push(programs::suite(&checkout, config, subject.ground).await);
    }
    findings
}
