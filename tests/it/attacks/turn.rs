//! How many attacks run at the same time. Most of them wait for a clock; more than the processors can serve would miss
//! the clocks of the suite, which gives the student's program three seconds.

use std::sync::LazyLock;

use tokio::sync::{Semaphore, SemaphorePermit};

/// How many attacks run at the same time.
static AT_ONCE: LazyLock<u32> = LazyLock::new(|| {
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    u32::try_from(2 * processors).unwrap_or(8).min(8)
});

static TURNS: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(*AT_ONCE as usize));

/// Waits until one more may run beside the others; its turn ends with the permit.
pub async fn shared() -> SemaphorePermit<'static> {
    TURNS.acquire().await.unwrap()
}

/// Waits until nothing else runs; nothing else begins before the permit is dropped.
pub async fn alone() -> SemaphorePermit<'static> {
    TURNS.acquire_many(*AT_ONCE).await.unwrap()
}
