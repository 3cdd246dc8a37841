//! A value that may change while the runner runs: who uses it looks at it anew each time, or waits for a change.

use tokio::sync::watch;

/// A shared value; clones are the same value.
#[derive(Debug, Clone)]
pub struct Live<T>(watch::Sender<T>);

impl<T: Clone> Live<T> {
    /// A value to begin with.
    pub fn new(value: T) -> Self {
        Self(watch::Sender::new(value))
    }

    /// The value as it is now.
    pub fn get(&self) -> T {
        self.0.borrow().clone()
    }

    /// Changes it for everyone.
    pub fn set(&self, value: T) {
        self.0.send_replace(value);
    }

    /// For who waits for changes.
    pub fn watch(&self) -> watch::Receiver<T> {
        self.0.subscribe()
    }
}
