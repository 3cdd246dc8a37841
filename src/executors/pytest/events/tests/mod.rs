//! Tests of the events without a real pytest.

mod comparison;
mod lines;
mod properties;
mod unexpected;
