//! Measures the disk, and counts files.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Instant;

use crate::stats::median;

/// Median duration of an `fdatasync` of 4 KiB in a new file in `folder`, in milliseconds.
///
/// # Errors
/// Returns the error of the file operations.
pub(crate) fn fsync_ms(folder: &Path) -> io::Result<f64> {
    let path = folder.join("synced");
    let times: io::Result<Vec<f64>> = (0..25)
        .map(|_| {
            let mut file = File::create(&path)?;
            file.write_all(&[1; 4096])?;
            let started = Instant::now();
            file.sync_data()?;
            let elapsed = started.elapsed();
            fs::remove_file(&path)?;
            Ok(elapsed.as_secs_f64() * 1e3)
        })
        .collect();
    Ok(median(&times?))
}

/// Number of files and folders below `folder`.
pub(crate) fn count_files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| {
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            1 + if is_folder { count_files(&entry.path()) } else { 0 }
        })
        .sum()
}
