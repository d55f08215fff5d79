//! What a limit has done.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a [`RateLimit`](super::RateLimit) has done since it was made: counters that only grow, and how many keys it knows.
///
/// Calls that were admitted are not counted here: that is what `rpc_server_call_duration_seconds` has, and it would cost each
/// of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimitFigures {
    /// Calls that were refused.
    pub rejected: u64,
    /// Calls that were decided by the limit that keys share for which there was no room.
    pub overflow: u64,
    /// How often the store of a shared limit was asked and did not answer, or refused.
    pub shared_errors: u64,
    /// Calls that were decided without the store of a shared limit.
    pub shared_fallbacks: u64,
    /// Keys that are remembered now.
    pub keys: usize,
}

#[cfg(feature = "metrics")]
impl RateLimitFigures {
    pub(super) fn plus(self, other: &Self) -> Self {
        Self {
            rejected: self.rejected.saturating_add(other.rejected),
            overflow: self.overflow.saturating_add(other.overflow),
            shared_errors: self.shared_errors.saturating_add(other.shared_errors),
            shared_fallbacks: self.shared_fallbacks.saturating_add(other.shared_fallbacks),
            keys: self.keys.saturating_add(other.keys),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) rejected: Counter,
    pub(super) overflow: Counter,
    pub(super) shared_errors: Counter,
    pub(super) shared_fallbacks: Counter,
}

#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Figures {
    pub(super) fn read(&self, keys: usize) -> RateLimitFigures {
        RateLimitFigures {
            rejected: self.rejected.get(),
            overflow: self.overflow.get(),
            shared_errors: self.shared_errors.get(),
            shared_fallbacks: self.shared_fallbacks.get(),
            keys,
        }
    }
}
