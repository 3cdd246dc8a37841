//! Child processes of the runner: how they came to their end.

use super::Observe;

/// How a child and all below it came to their end.
#[derive(Debug, Clone, Copy, Default)]
pub struct ChildEnd {
    /// Why it was stopped from here: `deadline` or `interrupt`.
    pub stopped: Option<&'static str>,
    /// Processes that were still there after it, and were killed.
    pub leftovers: u32,
}

/// A child that runs. Dropped without a word about its end it was given up together with the work that needed it, and
/// killed.
#[derive(Debug)]
pub struct Child(Option<Observe>);

impl Child {
    pub(super) fn new(observe: Observe) -> Self {
        Self(Some(observe))
    }

    /// It came to its end; `limits` are those that it hit.
    pub fn ended(mut self, end: ChildEnd, limits: impl IntoIterator<Item = &'static str>) {
        let Some(observe) = self.0.take() else { return };
        let metrics = &observe.0.metrics;
        metrics.children.add(1);
        if let Some(why) = end.stopped {
            metrics.stopped.add([why]);
        }
        metrics.leftovers.add(end.leftovers.into());
        for limit in limits {
            metrics.limits.add([limit]);
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let Some(observe) = self.0.take() else { return };
        observe.0.metrics.children.add(1);
        observe.0.metrics.stopped.add(["abandoned"]);
    }
}
