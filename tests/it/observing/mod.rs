//! Tests of what a running runner shows: `--listen`, `healthcheck`, metrics, the status page.

mod clients;
mod counters;
mod health;
mod http;
mod status;

pub use http::{address, becomes, get, page, status, value};
