//! The runner's side of a supervisor: one that nobody listens to any more ends what it watches over and then itself,
//! and is waited for somewhere.

use tokio::process::Child;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// A supervisor. Dropping it leaves its end to `ending`.
#[derive(Debug)]
pub(super) struct Supervised {
    child: Option<Child>,
    ending: TaskTracker,
}

impl Supervised {
    pub(super) fn new(child: Child, ending: TaskTracker) -> Self {
        Self { child: Some(child), ending }
    }

    /// Its process id, as long as it was not waited for.
    pub(super) fn id(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        // It exits right after its last event, but a mount namespace takes a moment to go: no answer waits for that.
        if let (Some(mut child), Ok(runtime)) = (self.child.take(), Handle::try_current()) {
            self.ending.spawn_on(async move { child.wait().await.map(drop) }, &runtime);
        }
    }
}
