//! `/etc` of a task: the entries of the machine's that programs need, and names of users and hosts inside the sandbox.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::unistd::{getegid, geteuid};

use super::super::{Network, Plan, SuiteView};
use super::mounts::bind;
use super::paths::{ETC, ETC_NETWORK};

/// Makes `/etc` on the task's disk. It is put together here, since bubblewrap takes its time for each mount.
pub(super) fn make(view: &SuiteView, plan: &Plan) -> io::Result<()> {
    let etc = view.mountpoint.join("etc");
    fs::create_dir(&etc)?;
    let network: &[&str] = if plan.network == Network::Host { ETC_NETWORK } else { &[] };
    for name in ETC.iter().chain(network) {
        let (from, to) = (Path::new("/etc").join(name), etc.join(name));
        let Ok(meta) = fs::metadata(&from) else { continue };
        fs::create_dir_all(to.parent().unwrap_or(&etc))?;
        if meta.is_dir() {
            fs::create_dir(&to)?;
            bind(&from, &to)?;
        } else if meta.is_file() && fs::copy(&from, &to).is_err() {
            // The task does not need files that this user may not read.
            fs::remove_file(&to).ok();
        }
    }
    for folder in [etc.clone(), etc.join("ssl")] {
        fs::set_permissions(folder, Permissions::from_mode(0o755)).ok();
    }
    names(view, plan, &etc)
}

fn names(view: &SuiteView, plan: &Plan, etc: &Path) -> io::Result<()> {
    let (uid, home) = (plan.user.unwrap_or_else(|| geteuid().as_raw()), view.home.display());
    let gid = plan.user.unwrap_or_else(|| getegid().as_raw());
    let mut passwd = format!("student:x:{uid}:{gid}:student:{home}:/bin/sh\n");
    let mut group = format!("student:x:{gid}:\n");
    if uid != 0 {
        passwd = format!("root:x:0:0:root:/root:/usr/sbin/nologin\n{passwd}");
        group = format!("root:x:0:\n{group}");
    }
    fs::write(etc.join("passwd"), passwd)?;
    fs::write(etc.join("group"), group)?;
    if plan.network == Network::None {
        fs::write(etc.join("hosts"), "127.0.0.1 localhost sandbox\n::1 localhost\n")?;
    }
    Ok(())
}
