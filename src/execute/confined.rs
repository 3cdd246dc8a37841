//! What a suite sees of this machine when it runs for a task.

use std::fs;
use std::path::{Path, PathBuf};

use crate::process::Launcher;
use crate::report::Limits;
use crate::sandbox::users::{Loan, Users};
use crate::sandbox::{Level, Plan, SuiteView};
use crate::workspace::{Workspace, copy_tree};

/// The confinement of one run. The user that it runs as is lent for as long as this lives.
#[derive(Debug)]
pub(super) struct Confined {
    pub(super) plan: Plan,
    _loan: Option<Loan>,
}

/// Prepares a run of the suite in `tree` in `workspace`.
pub(super) async fn confine(
    launcher: &Launcher,
    workspace: &Workspace,
    tree: &Path,
    readable: Vec<PathBuf>,
    limits: &Limits,
) -> std::io::Result<Confined> {
    let sandbox = launcher.sandbox();
    if sandbox.level != Level::Bwrap {
        let (from, to) = (tree.to_owned(), workspace.suite());
        tokio::task::spawn_blocking(move || copy_tree(&from, &to)).await.map_err(std::io::Error::other)??;
    }
    let loan = sandbox.users.as_ref().map(Users::lend).transpose()?;
    let view = SuiteView {
        stage: workspace.stage(),
        tree: tree.to_owned(),
        suite: workspace.suite(),
        source: workspace.source(),
        home: workspace.home(),
        temp: workspace.temp(),
        out: workspace.out(),
        report: workspace.report(),
        report_limit: limits.max_report,
        readable,
    };
    let plan = sandbox.suite(&workspace.name(), loan.as_ref().map(|loan| loan.uid), view);
    Ok(Confined { plan, _loan: loan })
}

/// The folders that an environment's interpreter needs: the environment itself and the Python that it was made from.
pub(super) fn of_interpreter(python: &Path) -> Vec<PathBuf> {
    let prefix = |program: &Path| program.parent().and_then(Path::parent).map(Path::to_owned);
    let real = python.canonicalize().ok().and_then(|real| prefix(&real));
    let home = prefix(python);
    let named = home.as_ref().and_then(|home| {
        let text = fs::read_to_string(home.join("pyvenv.cfg")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("home")?.trim_start().strip_prefix('='))?;
        Path::new(line.trim()).canonicalize().ok()?.parent().map(Path::to_owned)
    });
    let mut folders: Vec<PathBuf> = home.into_iter().chain(real).chain(named).collect();
    folders.sort();
    folders.dedup();
    folders
}
