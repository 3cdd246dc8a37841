//! What must hold of the readers of foreign bytes: claims and JUnit reports.

pub mod checks;
