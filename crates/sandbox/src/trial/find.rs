//! Search for the strongest confinement that works.

use nix::unistd::geteuid;

use super::attempt::attempt;
use super::context::TrialContext;
use super::error::FindError;
use crate::command::Launcher;
use crate::confine::cgroup::Groups;
use crate::confine::{Choice, Level, Sandbox, Settings, landlock_version};

/// Finds the strongest confinement that works here and that `settings` allow. Kills what earlier runs with the same prefix
/// left in control groups.
///
/// # Errors
/// [`FindError`] if it is weaker than the settings require, or if the runner is root and none works.
pub async fn find(
    launcher: &Launcher,
    settings: &Settings,
    context: TrialContext<'_>,
) -> Result<Sandbox, FindError> {
    let groups = Groups::find();
    if let Some(groups) = &groups {
        groups.sweep(&context.prefix);
    }
    let base = Sandbox {
        prefix: context.prefix.clone(),
        groups,
        landlock: landlock_version(),
        hidden: context.hidden.clone(),
        ..Sandbox::off(settings.clone())
    };
    let levels: &[Level] = match settings.sandbox {
        Choice::None => &[],
        Choice::Basic => &[Level::Basic],
        Choice::Bwrap => &[Level::Bwrap],
        Choice::Auto => &[Level::Bwrap, Level::Basic],
    };
    let mut trials = Vec::new();
    let mut found = None;
    for &level in levels {
        match attempt(launcher, &base, level, &context).await {
            Ok(works) => {
                found = Some(works);
                break;
            }
            Err(error) => trials.push(error),
        }
    }
    if geteuid().is_root() && settings.sandbox != Choice::None && found.is_none() {
        return Err(FindError::Root { trials });
    }
    let found = found.unwrap_or(base);
    let required = required(settings);
    if found.level < required {
        return Err(FindError::TooWeak { found: found.level, required, trials });
    }
    Ok(Sandbox { failed_trials: trials, ..found })
}

/// The weakest level that the settings accept: a level that is chosen by name is required as well.
fn required(settings: &Settings) -> Level {
    let chosen = match settings.sandbox {
        Choice::Bwrap => Some(Level::Bwrap),
        Choice::Basic => Some(Level::Basic),
        Choice::Auto | Choice::None => None,
    };
    settings.sandbox_require.max(chosen).unwrap_or(Level::None)
}
