//! The slots: as many tasks at a time as the settings say, which may change meanwhile.

use tokio::sync::watch;

use super::Settings;
use crate::live::Live;
use crate::observe::Observe;

/// All slots.
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

    /// Takes a slot; waits for one that is free. Where there have become fewer, tasks that run are not disturbed: as
    /// many have to end first.
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
