//! Tests that no result is lost: crashes, stops, an absent backend, refused results, full disks.

mod crashes;
mod delivery;
mod disks;
mod spool;
mod stops;
