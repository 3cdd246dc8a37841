//! Real repositories, real servers, and what a hostile student could put into them.

mod cache;
mod checkout;
mod hostile;
mod mirror;
mod servers;
mod submodules;
mod support;
