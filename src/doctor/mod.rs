//! `runner doctor`: what a run needs, looked at one by one, with the command that mends what is missing.
//!
//! It disturbs no runner on the same state folder: it takes no task, holds no lock, changes nothing that is kept. Its
//! login makes the refresh token of a runner with the same user worthless, which that runner mends by a login of its own.

mod backend;
mod machine;
mod programs;
mod sandbox;
mod state;

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::checkout::Checkout;
use crate::config::{Config, Settings};
use crate::live::Live;
use crate::process::Launcher;
use crate::sandbox::Sandbox;
use crate::screen::Screen;
use crate::text::{one_line, without_secrets};

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
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failure => "failure",
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
}

/// What the trials of the caller came to: settings that hold together, and how strongly tasks can be confined with them.
pub struct Patient<'a> {
    /// The settings as they were given; where they do not hold together, why.
    pub given: &'a Settings,
    /// What was made of them. Where the state folder is not there yet, with another one in its place.
    pub config: Result<&'a Config, String>,
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
        writeln!(out, "\n{} checks, {failures} failed, {warnings} with a warning", findings.len())?;
    }
    Ok(failures == 0)
}

async fn look(patient: Patient<'_>) -> Vec<Finding> {
    let settings = patient.given;
    let mut findings = Vec::new();
    if let Err(why) = &patient.config {
        findings.push(Finding::failure("settings", why, "correct the option that the line names"));
    }
    patient.doing.set("programs");
    if !settings.execute.mock {
        findings.extend(programs::look(&patient.launcher).await);
    }
    findings.extend(state::look(settings));
    if let Ok(config) = patient.config {
        patient.doing.set("the backend");
        // Only there the password is in its place.
        findings.extend(backend::look(&config.settings.backend).await);
        if !settings.execute.mock {
            patient.doing.set("the suite");
            let confined = match &patient.sandbox {
                Some(Ok(sandbox)) => patient.launcher.clone().confined(sandbox.clone()),
                _ => patient.launcher.clone(),
            };
            let checkout = Checkout::new(config.running.checkout.clone(), confined, &config.folders.state);
            findings.push(programs::suite(&checkout, config).await);
        }
    }
    if let Some(sandbox) = &patient.sandbox {
        findings.extend(sandbox::look(sandbox));
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
    without_secrets(&one_line(text)).into_owned()
}
