//! The demo's repositories: a small pytest suite, and a C program in four states.

mod repositories;

pub(super) use repositories::{STUDENTS, Student, repository, suite, write_all};
