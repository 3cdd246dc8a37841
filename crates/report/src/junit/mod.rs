//! Reads a `JUnit` report of any tool into a [`Report`](crate::Report), as a stream and in bounded memory. Any bytes give a
//! report or a typed error. A file that breaks off gives the cases before that place, with a fault.
//!
//! `decode` makes UTF-8 from any encoding, `filter` bounds the size of XML events, `read` feeds them to
//! `document`, which builds cases and suites.

mod attributes;
mod case;
mod case_list;
mod counts;
mod decode;
mod document;
mod error;
mod filter;
mod read;
mod suites;
mod values;

pub use error::JunitError;
pub use read::{read, read_file};

#[cfg(test)]
mod tests;
