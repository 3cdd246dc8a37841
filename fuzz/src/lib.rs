//! Checks for the fuzz targets, which give arbitrary bytes to the parsers of claims and JUnit reports.

pub mod checks;
