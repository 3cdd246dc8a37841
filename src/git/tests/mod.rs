//! Tests with real repositories and servers, also hostile ones.

mod cache;
mod checkout;
mod hostile;
mod mirror;
mod servers;
mod submodules;
mod support;
