//! Which memory is a case's: what is taken from its beginning to its end, and what was taken since the end of the case
//! before it. A program that goes on in the background takes nothing that is nobody's.

/// What the suite's own interpreter takes between two cases, and what the counters are wrong by.
pub const SLACK: u64 = 1 << 20;

/// The time from the end of one case to the end of the next.
#[derive(Debug, Clone, Copy, Default)]
pub struct Window {
    /// Bytes that were in use before the case.
    baseline: u64,
    /// Bytes in use when the last case had ended.
    left: Option<u64>,
}

impl Window {
    /// A case begins with `usage` bytes in use; `peak` were since the last one's end. True: the peak begins anew as well.
    #[must_use]
    pub fn begin(&mut self, usage: u64, peak: u64) -> bool {
        // Where nothing grew, processes of the last case may be on their way out still: what they held is not this one's.
        let grown = self.left.filter(|left| peak.max(usage) > left.saturating_add(SLACK));
        self.baseline = grown.map_or(usage, |left| left.min(usage));
        grown.is_none()
    }

    /// It has ended, having come to `peak`, and `usage` are left: what it took, in bytes.
    pub fn end(&mut self, usage: u64, peak: u64) -> u64 {
        self.left = Some(usage);
        peak.saturating_sub(self.baseline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    #[test]
    fn growth_between_cases_belongs_to_next() {
        let mut window = Window::default();
        assert!(window.begin(20 * MB, 0));
        assert_eq!(window.end(22 * MB, 120 * MB), 100 * MB);
        // Of the suite's own, and of what is still ending.
        assert!(window.begin(21 * MB, 22 * MB + SLACK));
        assert_eq!(window.end(21 * MB, 31 * MB), 10 * MB);
        // Whether it is still there or not.
        assert!(!window.begin(321 * MB, 321 * MB));
        assert_eq!(window.end(321 * MB, 322 * MB), 301 * MB);
        assert!(!window.begin(21 * MB, 421 * MB));
        assert_eq!(window.end(21 * MB, 421 * MB), 400 * MB);
        // What somebody holds from before is not taken anew.
        assert!(!window.begin(321 * MB, 21 * MB));
        assert_eq!(window.end(321 * MB, 321 * MB), 300 * MB);
        assert!(window.begin(321 * MB, 321 * MB));
        assert_eq!(window.end(321 * MB, 322 * MB), MB);
    }
}
