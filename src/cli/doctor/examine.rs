//! Prepares the checks, runs them and prints the findings.

use std::io::{self, Write};

use serde_json::json;

use super::checks::{self, Subject};
use super::{Finding, State};
use crate::cli::Exit;
use crate::config::{Config, Given, Settings};
use crate::daemon::{OWN_BINARY, find_sandbox};
use crate::live::Live;
use crate::observe::screen::Screen;
use sandbox::command::Launcher;

/// Arguments of `runner doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print one JSON object with all checks
    #[arg(long)]
    pub json: bool,
}

/// Runs all checks and prints the findings on stdout. If the state folder does not exist yet, the trials take place in
/// a temporary one.
///
/// # Errors
/// Stdout cannot be written to.
pub async fn run(settings: Settings, given: Given, args: &Args, screen: &Screen) -> anyhow::Result<Exit> {
    let file_error = given.file_error;
    let mut checked = settings.clone();
    let absent = file_error.is_none() && settings.folders.state().is_ok_and(|state| !state.is_dir());
    let temporary = absent.then(temporary_folder).transpose();
    if let Ok(Some(folder)) = &temporary {
        checked.folders.state_dir = Some(folder.path().to_owned());
    }
    let mark = format!("doctor{:016x}", fastrand::u64(..));
    let launcher = Launcher::new(OWN_BINARY, mark.clone(), settings.process.clone());
    let config = match &temporary {
        // The wrong file may name another folder, so nothing is made here.
        _ if file_error.is_some() => Err("the settings file is wrong".to_owned()),
        Ok(_) => Config::check(checked).map_err(|error| format!("{error:#}")),
        Err(error) => Err(format!("no temporary folder for the trials: {error}; give --state-dir")),
    };
    let sandbox = match &config {
        Ok(config) if settings.execute.runs_programs() => {
            let trial = find_sandbox(config, &launcher, format!("ostest-{mark}-"));
            Some(screen.during(|| "trying the sandbox".to_owned(), trial).await)
        }
        _ => None,
    };
    let ground = match (absent, &config) {
        (true, _) => std::env::temp_dir(),
        (false, Ok(config)) => config.folders.work.clone(),
        (false, Err(_)) => settings.folders.state().unwrap_or_default(),
    };
    let area = Live::new("programs");
    let subject = Subject {
        given: &settings,
        file_error,
        warnings: given.warnings,
        config: config.as_ref().map_err(Clone::clone),
        ground: &ground,
        launcher,
        sandbox,
        area: &area,
    };
    let findings = screen.during(|| format!("looking at {}", area.get()), checks::run(subject)).await;
    print(&findings, args.json, &mut io::stdout())?;
    Ok(Exit::of(count(&findings, State::Failure) == 0))
}

/// A temporary state folder. The user of a task may pass through it.
fn temporary_folder() -> io::Result<tempfile::TempDir> {
    let folder = tempfile::TempDir::with_prefix("runner-doctor-")?;
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711))?;
    Ok(folder)
}

fn count(findings: &[Finding], state: State) -> usize {
    findings.iter().filter(|finding| finding.state == state).count()
}

fn print(findings: &[Finding], as_json: bool, out: &mut impl Write) -> io::Result<()> {
    let (failures, warnings) = (count(findings, State::Failure), count(findings, State::Warning));
    if as_json {
        let checks: Vec<_> = findings.iter().map(Finding::as_json).collect();
        let all = json!({"ok": failures == 0, "failures": failures, "warnings": warnings, "checks": checks});
        return writeln!(out, "{all:#}");
    }
    for finding in findings {
        out.write_all(finding.as_lines().as_bytes())?;
    }
    let skipped = count(findings, State::Skipped);
    let checked = findings.len() - skipped;
    let skipped = if skipped > 0 { format!(", {skipped} not checked") } else { String::new() };
    writeln!(out, "\n{checked} checks, {failures} failed, {warnings} with a warning{skipped}")
}
