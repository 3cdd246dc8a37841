//! Paths of the machine that a suite sees.

use std::path::PathBuf;

use super::super::SuiteView;

/// Entries of `/etc` that programs need. Names of users and hosts are not among them: the sandbox has its own.
pub(super) const ETC: &[&str] = &[
    "alternatives",
    "ca-certificates",
    "ca-certificates.conf",
    "debian_version",
    "java-17-openjdk",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "nsswitch.conf",
    "os-release",
    "protocols",
    "python3",
    "python3.11",
    "services",
    "ssl/certs",
    "ssl/openssl.cnf",
    "timezone",
];

/// Entries of `/etc` that the network needs.
pub(super) const ETC_NETWORK: &[&str] = &["resolv.conf", "hosts", "gai.conf"];

/// Folders of programs.
pub const SYSTEM: &[&str] = &["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

/// Devices that a program may use if it has no `/dev` of its own.
pub(super) const DEVICES: &[&str] =
    &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

/// Folder of named semaphores and shared memory.
pub const SHARED: &str = "/dev/shm";

/// Folder of the task's pseudo-terminals, below its mount point.
pub const TERMINALS: &str = "pts";

/// Returns the folders outside the system's own that a suite may read and that exist.
pub fn visible(view: &SuiteView) -> impl Iterator<Item = &PathBuf> {
    let system = |folder: &&PathBuf| !SYSTEM.iter().any(|system| folder.starts_with(system));
    view.readable.iter().filter(system).filter(|folder| folder.is_dir())
}
