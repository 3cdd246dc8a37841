//! The supervisor's process, as the runner holds it.

use tokio::process::Child;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// A supervisor. It ends itself and everything below it when its control socket is closed; dropping this waits for that in
/// a task of `ending`.
#[derive(Debug)]
pub(super) struct Supervised {
    child: Option<Child>,
    ending: TaskTracker,
}

impl Supervised {
    pub(super) fn new(child: Child, ending: TaskTracker) -> Self {
        Self { child: Some(child), ending }
    }

    /// Returns the process id, unless the process was waited for.
    pub(super) fn id(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        // The supervisor exits right after its last event, but the kernel takes a moment to remove a mount namespace: no
        // result waits for that.
        if let (Some(mut child), Ok(runtime)) = (self.child.take(), Handle::try_current()) {
            self.ending.spawn_on(async move { child.wait().await.map(drop) }, &runtime);
        }
    }
}
