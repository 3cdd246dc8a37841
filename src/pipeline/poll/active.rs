//! The tasks that this runner is working on, so that it runs none of them twice.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::task::TaskId;

/// The ids of the tasks that this runner is working on.
#[derive(Debug, Clone, Default)]
pub(super) struct ActiveTasks(Arc<Mutex<HashSet<String>>>);

/// The id of an active task; dropping it removes the id from the set.
pub(super) struct ActiveTask(ActiveTasks, String);

impl ActiveTasks {
    /// Adds `id`; `None` if it is active already.
    pub(super) fn add(&self, id: &TaskId) -> Option<ActiveTask> {
        let text = id.raw().get().to_owned();
        let new = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(text.clone());
        new.then(|| ActiveTask(self.clone(), text))
    }
}

impl Drop for ActiveTask {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}
