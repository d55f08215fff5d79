//! What the runtime says of itself and does not add up.

use std::time::Duration;

use tokio::runtime::RuntimeMetrics;

/// The time that all workers of the runtime were busy, since it started.
pub(super) fn busy(runtime: &RuntimeMetrics) -> Option<Duration> {
    #[cfg(target_has_atomic = "64")]
    return Some((0..runtime.num_workers()).map(|worker| runtime.worker_total_busy_duration(worker)).sum());
    #[cfg(not(target_has_atomic = "64"))]
    return None;
}
