//! Which memory counts for a test case: what is allocated from its beginning to its end, and what was allocated since the
//! end of the case before it. So memory that a program allocates in the background counts for a case as well.

/// Bytes that the suite's own interpreter allocates between two cases, with the error of the counters.
pub const SLACK: u64 = 1 << 20;

/// Memory in use before a case, from the end of the case before it to its own end.
#[derive(Debug, Clone, Copy, Default)]
pub struct MemoryBaseline {
    /// Bytes in use before the case.
    baseline: u64,
    /// Bytes in use when the last case had ended.
    at_last_end: Option<u64>,
}

impl MemoryBaseline {
    /// Begins a case with `usage` bytes in use and a `peak` since the last case's end. Returns whether the peak begins anew
    /// as well.
    #[must_use]
    pub fn begin(&mut self, usage: u64, peak: u64) -> bool {
        // If nothing grew, processes of the last case may still be ending: their memory does not count for this case.
        let grown = self.at_last_end.filter(|last| peak.max(usage) > last.saturating_add(SLACK));
        self.baseline = grown.map_or(usage, |last| last.min(usage));
        grown.is_none()
    }

    /// Ends the case with its `peak` and `usage` bytes in use; returns the bytes that count for it.
    pub fn end(&mut self, usage: u64, peak: u64) -> u64 {
        self.at_last_end = Some(usage);
        peak.saturating_sub(self.baseline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    #[test]
    fn growth_between_cases_counts_for_the_next() {
        let mut baseline = MemoryBaseline::default();
        assert!(baseline.begin(20 * MB, 0));
        assert_eq!(baseline.end(22 * MB, 120 * MB), 100 * MB);
        // The suite's own memory, and processes that are ending.
        assert!(baseline.begin(21 * MB, 22 * MB + SLACK));
        assert_eq!(baseline.end(21 * MB, 31 * MB), 10 * MB);
        // Growth between cases that is still in use, and growth that is not.
        assert!(!baseline.begin(321 * MB, 321 * MB));
        assert_eq!(baseline.end(321 * MB, 322 * MB), 301 * MB);
        assert!(!baseline.begin(21 * MB, 421 * MB));
        assert_eq!(baseline.end(21 * MB, 421 * MB), 400 * MB);
        // Memory that has been in use since before counts once.
        assert!(!baseline.begin(321 * MB, 21 * MB));
        assert_eq!(baseline.end(321 * MB, 321 * MB), 300 * MB);
        assert!(baseline.begin(321 * MB, 321 * MB));
        assert_eq!(baseline.end(321 * MB, 322 * MB), MB);
    }
}
