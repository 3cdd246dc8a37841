//! A stand-in for the OSTEST backend.
