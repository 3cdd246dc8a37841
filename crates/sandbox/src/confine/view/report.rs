//! The report, which is copied from the task's disk when the command has ended.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::unistd::{Uid, geteuid};

use super::super::{Level, Plan, View};

/// Copies the report from the task's disk to its place in the view. Returns a message if there is something that cannot be
/// a report.
pub fn take_report(plan: &Plan) -> Option<String> {
    let View::Suite(view) = &plan.view else { return None };
    if plan.level != Level::Bwrap {
        return None;
    }
    let name = view.report.file_name()?;
    let owner = Uid::from_raw(plan.user.unwrap_or_else(|| geteuid().as_raw()));
    match copy(&view.mountpoint.join("out").join(name), &view.report, owner, view.report_limit) {
        Ok(()) => None,
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(error.to_string()),
    }
}

/// Copies a regular file of `owner` with at most `limit` bytes. Follows no link and does not block.
fn copy(from: &Path, to: &Path, owner: Uid, limit: u64) -> io::Result<()> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = match File::options().read(true).custom_flags(flags.bits()).open(from) {
        Err(error) if error.raw_os_error() == Some(nix::libc::ELOOP) => {
            return Err(io::Error::other("the report is a symbolic link, not a regular file"));
        }
        other => other?,
    };
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("the report is not a regular file"));
    }
    if meta.uid() != owner.as_raw() {
        return Err(io::Error::other("the report is not the suite's own file"));
    }
    if meta.len() > limit {
        let size = meta.len();
        return Err(io::Error::other(format!("the report has {size} bytes, more than the limit of {limit}")));
    }
    io::copy(&mut file.take(limit), &mut fs::File::create(to)?).map(drop)
}
