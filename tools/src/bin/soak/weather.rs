//! The backend's bad days: faults, expired tokens, restarts.
//!
//! A claim that the backend hands out and the network loses is lost by the contract, whatever the runner does. So
//! claims meet only faults that hand nothing out, and the backend goes down only after it has handed out nothing for
//! a moment. Results, logins and refreshes meet everything.

use std::cell::Cell;
use std::time::Duration;

use fastrand::Rng;
use mock_backend::{Endpoint, Fault, FaultKind, MockBackend};
use tokio::time::sleep;

/// The longest delay of a claim. Short, since a runner that is killed meanwhile loses the claim.
const LONGEST_CLAIM_DELAY: u64 = 20;

/// What has happened.
#[derive(Debug, Default)]
pub(crate) struct Weather {
    /// Faults that were set; nearly all of them strike.
    pub(crate) faults: Cell<usize>,
    /// Restarts, with and without a time in which nobody listened.
    pub(crate) restarts: Cell<usize>,
    /// Times that all access or refresh tokens became worthless.
    pub(crate) tokens: Cell<usize>,
}

impl Weather {
    /// Makes weather until `over`.
    pub(crate) async fn blow(&self, backend: &MockBackend, random: &mut Rng, over: &Cell<bool>) {
        while !over.get() {
            sleep(Duration::from_millis(random.u64(50..300))).await;
            match random.u32(..1000) {
                0..30 => self.restart(backend, random).await,
                30..60 => {
                    backend.expire_tokens();
                    count(&self.tokens);
                }
                60..90 => {
                    backend.forget_refresh_tokens();
                    count(&self.tokens);
                }
                _ => {
                    let fault = fault(random);
                    // One at a time for each endpoint, or a quiet one would save up a storm.
                    if backend.faults().iter().all(|set| set.endpoint != fault.endpoint) {
                        backend.fault(fault);
                        count(&self.faults);
                    }
                }
            }
        }
        backend.clear_faults();
    }

    async fn restart(&self, backend: &MockBackend, random: &mut Rng) {
        backend.clear_faults();
        backend.fault(Fault::new(Endpoint::Claim, FaultKind::status(503)).forever());
        sleep(Duration::from_millis(LONGEST_CLAIM_DELAY + 80)).await;
        backend.go_down().await;
        sleep(Duration::from_millis(random.choice([0, 0, 200, 1_500]).unwrap_or(0))).await;
        backend.forget_refresh_tokens();
        // The port was this backend's a moment ago; who took it meanwhile lets go of it.
        while backend.come_back().await.is_err() {
            sleep(Duration::from_millis(50)).await;
        }
        backend.clear_faults();
        count(&self.restarts);
    }
}

fn count(counter: &Cell<usize>) {
    counter.set(counter.get() + 1);
}

fn fault(random: &mut Rng) -> Fault {
    match random.u32(..10) {
        0..3 => Fault::new(Endpoint::Claim, claim(random)),
        3..8 => Fault::new(Endpoint::Result, result(random)),
        8 => Fault::new(Endpoint::Login, exchange(random)),
        _ => Fault::new(Endpoint::Refresh, exchange(random)),
    }
}

fn claim(random: &mut Rng) -> FaultKind {
    match random.u32(..8) {
        0 => FaultKind::status(401),
        1 => FaultKind::retry_after(429, 1),
        2 => FaultKind::status(503),
        3 => FaultKind::DropBefore,
        4 => FaultKind::Garbage,
        5 => FaultKind::Html200,
        6 => FaultKind::Empty,
        _ => FaultKind::Delay(Duration::from_millis(random.u64(1..LONGEST_CLAIM_DELAY))),
    }
}

fn result(random: &mut Rng) -> FaultKind {
    let moment = Duration::from_millis(random.u64(1..2_000));
    match random.u32(..16) {
        0 => FaultKind::status(500),
        1 => FaultKind::status(502),
        2 => FaultKind::status(408),
        3 => FaultKind::status(401),
        4 => FaultKind::retry_after(503, 1),
        5 => FaultKind::Redirect("http://127.0.0.1:9/elsewhere".to_owned()),
        6 => FaultKind::DropBefore,
        7 | 8 => FaultKind::DropAfter,
        9 => FaultKind::CutBody,
        10 => FaultKind::Garbage,
        11 => FaultKind::Html200,
        12 => FaultKind::Empty,
        13 => FaultKind::Delay(moment),
        14 => FaultKind::Late(moment),
        _ => FaultKind::Drip(Duration::from_millis(5)),
    }
}

fn exchange(random: &mut Rng) -> FaultKind {
    match random.u32(..6) {
        0 => FaultKind::status(500),
        1 => FaultKind::status(401),
        2 => FaultKind::DropBefore,
        3 => FaultKind::DropAfter,
        4 => FaultKind::Garbage,
        _ => FaultKind::Late(Duration::from_millis(random.u64(1..1_000))),
    }
}
