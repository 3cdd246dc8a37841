//! The `mock-backend` program.
fn main() {}
