//! So many a minute.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

/// Counts in whole minutes since it was made. Coarse: twice as many may pass around the turn of a minute, which does no harm
/// to somebody who reads reports.
pub(super) struct Limit {
    start: Instant,
    per_minute: u32,
    // The minute in the upper half, how many passed in it in the lower.
    state: AtomicU64,
}

impl Limit {
    pub(super) fn new(per_minute: u32) -> Self {
        Self { start: Instant::now(), per_minute, state: AtomicU64::new(0) }
    }

    /// Whether one more may pass.
    pub(super) fn is_open(&self) -> bool {
        self.after_one(self.state.load(Ordering::Relaxed)).is_some()
    }

    /// Lets one pass, if it may.
    pub(super) fn pass(&self) -> bool {
        self.state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |state| self.after_one(state)).is_ok()
    }

    fn after_one(&self, state: u64) -> Option<u64> {
        let minute = (self.start.elapsed().as_secs() / 60) & u64::from(u32::MAX);
        let passed = if state >> 32 == minute { state & u64::from(u32::MAX) } else { 0 };
        (passed < u64::from(self.per_minute)).then_some((minute << 32) | (passed + 1))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_minute_lets_so_many_pass() {
        let limit = Limit::new(2);
        for _ in 0..3 {
            assert!(limit.is_open() && limit.pass() && limit.pass());
            assert!(!limit.is_open() && !limit.pass());
            tokio::time::advance(Duration::from_secs(60)).await;
        }
    }
}
