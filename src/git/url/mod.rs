//! Repository URLs: parsed and checked once, with masked secrets.

mod parse;
mod percent;
mod repository_url;
#[cfg(test)]
mod tests;

pub use repository_url::{RepositoryUrl, Transport};
