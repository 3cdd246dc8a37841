//! Entry points: what a plan's view requires is made before the command starts.

use std::io;

use super::super::{Level, Plan, View};
use super::owners::give;
use super::{disk, owners};
use crate::workspace::fill_tree;

/// Makes what `plan` lets its command see, except for the program under test where the task has a disk of its own.
///
/// # Errors
/// The system's error with the part that failed.
pub fn make(plan: &mut Plan) -> io::Result<()> {
    match (&plan.view, plan.level) {
        (View::Suite(view), Level::Bwrap) => disk::make(view, plan),
        (View::Suite(view), Level::Basic) => {
            owners::make(view, plan.user)?;
            plan.own_shared = plan.user.is_some() && owners::own_shared(&plan.limits).is_ok();
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Copies the program under test to the disk that [`make`] made. Nothing else may have been written there.
///
/// # Errors
/// The system's error, or a message if the program does not fit into the task's disk.
pub fn fill(plan: &Plan) -> io::Result<()> {
    let (View::Suite(view), Level::Bwrap) = (&plan.view, plan.level) else { return Ok(()) };
    let source = view.mountpoint.join("src");
    fill_tree(&view.source, &source).map_err(disk::too_small)?;
    plan.user.map_or(Ok(()), |uid| give(&source, uid))
}
