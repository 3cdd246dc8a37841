//! `runner doctor`: what a run needs, looked at one by one, with the command that mends what is missing.
//!
//! It disturbs no runner on the same state folder: it takes no task, holds no lock, changes nothing that is kept. Its
//! login makes the refresh token of a runner with the same user worthless, which that runner mends by a login of its own.

mod backend;
mod cause;
mod confinement;
mod machine;
mod programs;
mod state;

use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value, json};

use crate::config::{Config, Settings};
use crate::git::GitClient;
use crate::live::Live;
use crate::observe::Observe;
use crate::observe::screen::Screen;
use sandbox::command::Launcher;
use sandbox::confine::Sandbox;
use text::{one_line, without_address_secrets};

/// What `runner doctor` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print an object with all checks instead of lines
    #[arg(long)]
    pub json: bool,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// As it should be.
    Ok,
    /// Tasks run, but less well or less safely than they could.
    Warning,
    /// Tasks do not run.
    Failure,
    /// It was not looked at, for something else has to be mended first.
    Skipped,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failure => "failure",
            Self::Skipped => "skipped",
        }
    }
}

/// What a check found.
#[derive(Debug)]
struct Finding {
    check: String,
    state: State,
    says: String,
    /// The command that mends it, or what to do.
    mend: Option<String>,
}

impl Finding {
    fn ok(check: impl Into<String>, says: impl Into<String>) -> Self {
        Self { check: check.into(), state: State::Ok, says: says.into(), mend: None }
    }

    fn warning(check: impl Into<String>, says: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { state: State::Warning, mend: Some(mend.into()), ..Self::ok(check, says) }
    }

    fn failure(check: impl Into<String>, says: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { state: State::Failure, mend: Some(mend.into()), ..Self::ok(check, says) }
    }

    /// That it was not looked at, since the settings are wrong.
    fn skipped(check: &str) -> Self {
        Self { state: State::Skipped, ..Self::ok(check, "not looked at, for the settings are wrong") }
    }
}

/// What the trials of the caller came to: settings that hold together, and how strongly tasks can be confined with them.
pub struct Patient<'a> {
    /// The settings as they were given.
    pub given: &'a Settings,
    /// What is wrong with the file of settings: nothing of it is in `given`.
    pub wrong_file: Option<String>,
    /// What of the settings is taken, and yet not as it should be.
    pub warnings: Vec<String>,
    /// What was made of them. Where the state folder is not there yet, with another one in its place.
    pub config: Result<&'a Config, String>,
    /// The folder in which things are tried, and which stays.
    pub ground: &'a Path,
    /// Starts the checks' own processes.
    pub launcher: Launcher,
    /// What confines tasks.
    pub sandbox: Option<Result<Sandbox, String>>,
    /// Told what is looked at, for one who waits.
    pub doing: &'a Live<&'static str>,
}

/// Looks at everything and says what it found; whether nothing failed.
pub async fn run(
    patient: Patient<'_>,
    args: &Args,
    screen: &Screen,
    out: &mut impl Write,
) -> io::Result<bool> {
    let doing = patient.doing;
    let findings = screen.during(|| format!("looking at {}", doing.get()), look(patient)).await;
    let count = |state| findings.iter().filter(|finding| finding.state == state).count();
    let (failures, warnings) = (count(State::Failure), count(State::Warning));
    if args.json {
        let checks: Vec<_> = findings.iter().map(as_json).collect();
        let all = json!({"ok": failures == 0, "failures": failures, "warnings": warnings, "checks": checks});
        writeln!(out, "{all:#}")?;
    } else {
        for finding in &findings {
            writeln!(out, "{:<8} {:<18} {}", finding.state.name(), finding.check, clean(&finding.says))?;
            if let Some(mend) = &finding.mend {
                writeln!(out, "{:27} mend: {}", "", clean(mend))?;
            }
        }
        let skipped = count(State::Skipped);
        let looked_at = findings.len() - skipped;
        let skipped = if skipped > 0 { format!(", {skipped} not looked at") } else { String::new() };
        writeln!(out, "\n{looked_at} checks, {failures} failed, {warnings} with a warning{skipped}")?;
    }
    Ok(failures == 0)
}

async fn look(patient: Patient<'_>) -> Vec<Finding> {
    let settings = patient.given;
    let mut findings = Vec::new();
    if let Some(why) = &patient.wrong_file {
        let mend = "correct that line of the file, then: runner config check, with the same options";
        findings.push(Finding::failure("settings", why, mend));
    } else if let Err(why) = &patient.config {
        let mend = cause::mend(why, patient.ground);
        let mend = mend.unwrap_or_else(|| {
            "runner config check, with the same options, until it exits with 0".to_owned()
        });
        findings.push(Finding::failure("settings", why, mend));
    }
    for warning in &patient.warnings {
        let mend = match warning.rsplit_once("; ") {
            Some((_, command)) if command.starts_with("chmod") => command,
            _ => "systemctl cat ostest-runner, or env | grep RUNNER_; correct or remove the variable",
        };
        findings.push(Finding::warning("settings", warning, mend));
    }
    patient.doing.set("programs");
    if settings.execute.runs_programs() {
        findings.extend(programs::look(&patient.launcher).await);
    }
    if patient.wrong_file.is_some() {
        // Which folders they are, the file says.
        findings.extend(["state folder", "disk", "inodes"].map(Finding::skipped));
    } else {
        findings.extend(state::look(settings));
    }
    if patient.config.is_err() {
        let tasks = ["suite", "sandbox"].into_iter().filter(|_| settings.execute.runs_programs());
        findings.extend(["backend", "login"].into_iter().chain(tasks).map(Finding::skipped));
    }
    if let Ok(config) = patient.config {
        patient.doing.set("the backend");
        // Only there the password is in its place.
        findings.extend(backend::look(&config.settings.backend).await);
        if settings.execute.runs_programs() {
            patient.doing.set("the suite");
            let confined = match &patient.sandbox {
                Some(Ok(sandbox)) => patient.launcher.clone().confined(sandbox.clone()),
                _ => patient.launcher.clone(),
            };
            let checkout = GitClient::new(
                config.running.checkout.clone(),
                confined,
                Observe::default(),
                &config.folders.state,
            );
            findings.push(programs::suite(&checkout, config, patient.ground).await);
        }
    }
    if let Some(sandbox) = &patient.sandbox {
        findings.extend(confinement::look(sandbox, patient.ground));
    }
    findings.extend(machine::look(settings));
    findings
}

fn as_json(finding: &Finding) -> Value {
    json!({
        "check": finding.check,
        "state": finding.state.name(),
        "says": clean(&finding.says),
        "mend": finding.mend.as_deref().map(clean),
    })
}

/// One line, for some of it are others' words.
fn clean(text: &str) -> String {
    without_address_secrets(&one_line(text))
}
