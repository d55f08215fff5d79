//! A bucket of tokens that fills with time and with deposits, in one word.
//!
//! The word is the time at which the bucket was empty, in nanoseconds: what has passed since then is what it holds. Time fills it
//! by passing, a deposit moves the word back, a withdrawal moves it on. More than a full bucket is cut off when somebody
//! withdraws, so a deposit needs no clock, and none is written while the bucket has never been touched.

use crate::sync::atomic::{AtomicU64, Ordering};

/// Where time begins: high enough that deposits can go before it, and that 146 years of nanoseconds come after it.
const ORIGIN: u64 = 1 << 62;

/// What tokens are worth, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Worth {
    /// How long one token takes to come.
    pub(crate) token: u64,
    /// What a deposit adds.
    pub(crate) deposit: u64,
    /// What a full bucket holds.
    pub(crate) full: u64,
}

#[derive(Debug)]
pub(crate) struct Tokens {
    empty_at: AtomicU64,
    worth: Worth,
}

impl Tokens {
    /// A bucket that holds `held` nanoseconds at the time `now`.
    pub(crate) fn new(worth: Worth, held: u64, now: u64) -> Self {
        let empty_at = ORIGIN.saturating_add(now) - held.min(worth.full);
        Self { empty_at: AtomicU64::new(empty_at), worth }
    }

    /// Adds a deposit.
    pub(crate) fn deposit(&self) {
        self.add(self.worth.deposit);
    }

    /// Gives a token back that was not used.
    pub(crate) fn give_back(&self) {
        self.add(self.worth.token);
    }

    fn add(&self, amount: u64) {
        // At or before this the bucket is full whatever the time is.
        let full = ORIGIN - self.worth.full;
        if self.empty_at.load(Ordering::Relaxed) > full {
            self.empty_at.fetch_sub(amount, Ordering::Relaxed);
        }
    }

    /// Takes a token, if there is a whole one.
    pub(crate) fn withdraw(&self, now: u64) -> bool {
        let now = ORIGIN.saturating_add(now);
        let mut empty_at = self.empty_at.load(Ordering::Relaxed);
        loop {
            let taken = empty_at.max(now - self.worth.full).checked_add(self.worth.token);
            let Some(taken) = taken.filter(|taken| *taken <= now) else { return false };
            match self.empty_at.compare_exchange_weak(empty_at, taken, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(changed) => empty_at = changed,
            }
        }
    }

    /// What the bucket holds, in nanoseconds.
    pub(crate) fn held(&self, now: u64) -> u64 {
        let empty_at = self.empty_at.load(Ordering::Relaxed);
        ORIGIN.saturating_add(now).saturating_sub(empty_at).min(self.worth.full)
    }

    pub(crate) fn worth(&self) -> Worth {
        self.worth
    }
}
