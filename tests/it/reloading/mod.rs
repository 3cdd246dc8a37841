//! Tests of SIGHUP: settings that change while the runner runs, settings that need a restart, and wrong files.

mod files;
mod fixture;
mod logging;
mod times;
mod values;
