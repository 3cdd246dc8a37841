//! A setting that a reload can change. Users read it each time, or wait for a change.

use tokio::sync::watch;

/// A shared value; all clones see its changes.
#[derive(Debug, Clone)]
pub struct Live<T>(watch::Sender<T>);

impl<T: Clone> Live<T> {
    /// Creates the value.
    pub fn new(value: T) -> Self {
        Self(watch::Sender::new(value))
    }

    /// Returns the current value.
    pub fn get(&self) -> T {
        self.0.borrow().clone()
    }

    /// Changes the value for all clones.
    pub fn set(&self, value: T) {
        self.0.send_replace(value);
    }

    /// Returns a receiver that waits for changes.
    pub fn watch(&self) -> watch::Receiver<T> {
        self.0.subscribe()
    }
}
