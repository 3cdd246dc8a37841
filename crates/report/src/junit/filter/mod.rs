//! Bounds the size of XML events between the bytes of a report and quick-xml, which buffers one event whole. Of one
//! text, CDATA section or attribute value at most `HEAD` and `TAIL` bytes pass, with a mark between them. Comments,
//! processing instructions and DOCTYPE never pass, so that no entity is ever declared. Ordinary blocks pass uncopied.

mod bounded;
mod skip;

pub(super) use bounded::Bounded;

#[cfg(test)]
use bounded::{HEAD, TAIL, VERGE};

#[cfg(test)]
mod tests;
