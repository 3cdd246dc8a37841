//! Slots: the places for running tasks. The settings give their number, which may change while the runner runs.

use tokio::sync::watch;

use super::settings::Settings;
use crate::live::Live;
use crate::observe::Observe;

/// All slots of the runner.
#[derive(Debug)]
pub(super) struct Slots {
    busy: watch::Sender<usize>,
    settings: Live<Settings>,
    observe: Observe,
}

/// A slot in use; dropping it frees the slot.
#[derive(Debug)]
pub(super) struct Slot(watch::Sender<usize>);

impl Slots {
    pub(super) fn new(settings: Live<Settings>, observe: Observe) -> Self {
        Self { busy: watch::Sender::new(0), settings, observe }
    }

    /// Takes a slot; waits for a free one. If the number of slots shrinks, running tasks go on, and the next slot is free
    /// when fewer tasks run than there are slots.
    pub(super) async fn take(&self) -> Slot {
        let (mut busy, mut settings) = (self.busy.subscribe(), self.settings.watch());
        loop {
            let all = settings.borrow_and_update().concurrent;
            self.observe.slots(all);
            if *busy.borrow_and_update() < all {
                break;
            }
            tokio::select! {
                _ = busy.changed() => {}
                _ = settings.changed() => {}
            }
        }
        self.busy.send_modify(|busy| *busy += 1);
        Slot(self.busy.clone())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.send_modify(|busy| *busy -= 1);
    }
}
