//! Injects backend failures: faults, invalid tokens, restarts.
//!
//! A task whose claim response is lost on the network is lost by the contract; no runner can prevent that. So claims only
//! get faults that claim no task, and the backend goes down only after it has refused claims for a moment. Results, logins
//! and refreshes get all kinds of faults.

use std::cell::Cell;
use std::time::Duration;

use fastrand::Rng;
use mock_backend::{Endpoint, Fault, FaultKind, MockBackend};
use tokio::time::sleep;

/// Limit of the delay of a claim, in milliseconds. Short, because a runner that is killed meanwhile loses the claim.
const MAX_CLAIM_DELAY_MS: u64 = 20;

/// Counts of the injected failures.
#[derive(Debug, Default)]
pub(crate) struct BackendFaults {
    /// Faults that were set; nearly all of them apply to a request.
    pub(crate) faults: Cell<usize>,
    /// Restarts, with and without downtime.
    pub(crate) restarts: Cell<usize>,
    /// Invalidations of all access or all refresh tokens.
    pub(crate) invalidations: Cell<usize>,
}

impl BackendFaults {
    /// Injects failures until `finished` is set.
    pub(crate) async fn run(&self, backend: &MockBackend, random: &mut Rng, finished: &Cell<bool>) {
        while !finished.get() {
            sleep(Duration::from_millis(random.u64(50..300))).await;
            match random.u32(..1000) {
                0..30 => self.restart(backend, random).await,
                30..60 => {
                    backend.expire_tokens();
                    count(&self.invalidations);
                }
                60..90 => {
                    backend.forget_refresh_tokens();
                    count(&self.invalidations);
                }
                _ => {
                    let fault = random_fault(random);
                    // One at a time for each endpoint; otherwise they accumulate at a rarely used endpoint.
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
        sleep(Duration::from_millis(MAX_CLAIM_DELAY_MS + 80)).await;
        backend.go_down().await;
        sleep(Duration::from_millis(random.choice([0, 0, 200, 1_500]).unwrap_or(0))).await;
        backend.forget_refresh_tokens();
        // Another process may have taken the port meanwhile, for example as the local port of a connection.
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

fn random_fault(random: &mut Rng) -> Fault {
    match random.u32(..10) {
        0..3 => Fault::new(Endpoint::Claim, claim_fault(random)),
        3..8 => Fault::new(Endpoint::Result, result_fault(random)),
        8 => Fault::new(Endpoint::Login, token_fault(random)),
        _ => Fault::new(Endpoint::Refresh, token_fault(random)),
    }
}

fn claim_fault(random: &mut Rng) -> FaultKind {
    match random.u32(..8) {
        0 => FaultKind::status(401),
        1 => FaultKind::retry_after(429, 1),
        2 => FaultKind::status(503),
        3 => FaultKind::DropBefore,
        4 => FaultKind::Garbage,
        5 => FaultKind::Html200,
        6 => FaultKind::Empty,
        _ => FaultKind::Delay(Duration::from_millis(random.u64(1..MAX_CLAIM_DELAY_MS))),
    }
}

fn result_fault(random: &mut Rng) -> FaultKind {
    let delay = Duration::from_millis(random.u64(1..2_000));
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
        13 => FaultKind::Delay(delay),
        14 => FaultKind::Late(delay),
        _ => FaultKind::Drip(Duration::from_millis(5)),
    }
}

fn token_fault(random: &mut Rng) -> FaultKind {
    match random.u32(..6) {
        0 => FaultKind::status(500),
        1 => FaultKind::status(401),
        2 => FaultKind::DropBefore,
        3 => FaultKind::DropAfter,
        4 => FaultKind::Garbage,
        _ => FaultKind::Late(Duration::from_millis(random.u64(1..1_000))),
    }
}
