//! Programs on the runner's own `PATH`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// Finds the executable file `name` on the `PATH` of this process.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| {
        fs::metadata(program).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    })
}
