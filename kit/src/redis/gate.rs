//! Whether the server is asked at all.

use std::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

/// At most one line about the same trouble in this time: a server that comes and goes does not fill the log.
const QUIET: Duration = Duration::from_secs(10);

/// Open while the server answers. When it does not, closed for a rest; then one command tries, and the others still fail at
/// once until it has succeeded.
#[derive(Debug)]
pub(super) struct Gate {
    server: String,
    start: Instant,
    /// Microseconds after `start` until which nobody is let through; 0 is open.
    closed_until: AtomicU64,
    /// Commands that failed or were not tried since it closed.
    failed: AtomicU64,
    told: AtomicBool,
    outages: Lines,
    refusals: Lines,
    timeout: Duration,
    rest: Duration,
    words: Words,
}

/// What the log says of a server, in the words of whoever uses it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words {
    /// It is away, and what is done meanwhile.
    pub(crate) away: &'static str,
    /// It is back.
    pub(crate) back: &'static str,
    /// It is there and refuses a command.
    pub(crate) refuses: &'static str,
}

/// The server is left alone just now.
#[derive(Debug)]
pub(super) struct Closed;

impl Gate {
    pub(super) fn new(server: String, timeout: Duration, rest: Duration, words: Words) -> Self {
        Self {
            server,
            start: Instant::now(),
            closed_until: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            told: AtomicBool::new(false),
            outages: Lines::default(),
            refusals: Lines::default(),
            timeout,
            rest,
            words,
        }
    }

    /// Lets a command through, or says at once that the server is away.
    pub(super) fn enter(&self) -> Result<(), Closed> {
        let until = self.closed_until.load(Ordering::Acquire);
        if until == 0 {
            return Ok(());
        }
        // The one who tries keeps the gate closed for the others; should it be cancelled, only for so long.
        let now = self.now();
        let next = now.saturating_add(micros(self.timeout));
        let tries = now >= until
            && self.closed_until.compare_exchange(until, next, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if tries {
            return Ok(());
        }
        self.failed.fetch_add(1, Ordering::Relaxed);
        Err(Closed)
    }

    /// For how long it stays closed; `None` while it is open, zero when the next command tries.
    pub(super) fn closed_for(&self) -> Option<Duration> {
        let until = self.closed_until.load(Ordering::Acquire);
        (until != 0).then(|| Duration::from_micros(until.saturating_sub(self.now())))
    }

    /// The server answered, whatever it said.
    pub(super) fn answered(&self) {
        if self.closed_until.load(Ordering::Acquire) == 0 || self.closed_until.swap(0, Ordering::AcqRel) == 0 {
            return;
        }
        let failed = self.failed.swap(0, Ordering::Relaxed);
        if self.told.swap(false, Ordering::Relaxed) {
            tracing::info!(server = self.server, failed, "{}", self.words.back);
        }
    }

    /// The server could not be reached.
    pub(super) fn failed(&self, command: &str, why: &str) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let until = self.now().saturating_add(micros(self.rest)).max(1);
        if self.closed_until.swap(until, Ordering::AcqRel) == 0 && self.outages.may(self.now()) {
            self.told.store(true, Ordering::Relaxed);
            tracing::warn!(server = self.server, command, why, "{}", self.words.away);
        }
    }

    /// The server is there and refuses a command.
    pub(super) fn refused(&self, command: &str, why: &dyn fmt::Display) {
        if self.refusals.may(self.now()) {
            let since_last = self.refusals.suppressed.swap(0, Ordering::Relaxed);
            tracing::warn!(server = self.server, command, %why, since_last, "{}", self.words.refuses);
        } else {
            self.refusals.suppressed.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn now(&self) -> u64 {
        micros(self.start.elapsed())
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// When the last line was written.
#[derive(Debug, Default)]
struct Lines {
    /// Microseconds, and one more, so that 0 is never.
    last: AtomicU64,
    suppressed: AtomicU64,
}

impl Lines {
    fn may(&self, now: u64) -> bool {
        let (last, now) = (self.last.load(Ordering::Relaxed), now + 1);
        let quiet = last != 0 && now < last.saturating_add(micros(QUIET));
        !quiet && self.last.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(250);
    const REST: Duration = Duration::from_secs(1);

    fn gate() -> Gate {
        let words = Words { away: "away", back: "back", refuses: "refuses" };
        Gate::new("redis://test".to_owned(), TIMEOUT, REST, words)
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_rest_one_tries_and_opens_for_all() {
        let gate = gate();
        gate.enter().unwrap();
        gate.failed("GET", "gone");
        advance(REST - Duration::from_millis(1)).await;
        gate.enter().unwrap_err();
        assert_eq!(gate.closed_for(), Some(Duration::from_millis(1)));
        advance(Duration::from_millis(1)).await;
        gate.enter().unwrap();
        gate.enter().unwrap_err();
        gate.failed("GET", "gone");
        advance(REST).await;
        gate.enter().unwrap();
        gate.answered();
        assert_eq!(gate.closed_for(), None);
        gate.enter().unwrap();
        gate.enter().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_tries_and_is_cancelled_does_not_keep_it_closed() {
        let gate = gate();
        gate.failed("GET", "gone");
        advance(REST).await;
        gate.enter().unwrap();
        gate.enter().unwrap_err();
        advance(TIMEOUT).await;
        gate.enter().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_comes_and_goes_is_told_of_now_and_then() {
        let gate = gate();
        gate.failed("GET", "gone");
        assert!(gate.told.load(Ordering::Relaxed));
        gate.answered();
        gate.failed("GET", "gone");
        assert!(!gate.told.load(Ordering::Relaxed));
        gate.answered();
        advance(QUIET).await;
        gate.failed("GET", "gone");
        assert!(gate.told.load(Ordering::Relaxed));
    }
}
