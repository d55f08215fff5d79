//! The state of a breaker in one word: what is open, and which probes run.

use crate::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

const STATE_BITS: u32 = 3;
const LEASED_BITS: u32 = 13;
const PASSED_BITS: u32 = 16;
const LEASED_AT: u32 = STATE_BITS;
const PASSED_AT: u32 = LEASED_AT + LEASED_BITS;
const ERA_AT: u32 = PASSED_AT + PASSED_BITS;

/// The most probes that the word can count.
pub(crate) const MOST_PROBES: u32 = 1_000;

/// What happens to calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BreakerState {
    /// They are made, and judged.
    Closed,
    /// They are refused.
    Open,
    /// A few are made, as probes.
    HalfOpen,
    /// They are refused until somebody releases the breaker.
    ForcedOpen,
    /// They are made, and not judged.
    ForcedClosed,
}

impl BreakerState {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Closed, Self::Open, Self::HalfOpen, Self::ForcedOpen, Self::ForcedClosed];

    const fn bits(self) -> u64 {
        match self {
            Self::Closed => 0,
            Self::Open => 1,
            Self::HalfOpen => 2,
            Self::ForcedOpen => 3,
            Self::ForcedClosed => 4,
        }
    }

    /// The name, as metrics and the debug port have it: `half_open`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::ForcedOpen => "forced_open",
            Self::ForcedClosed => "forced_closed",
        }
    }
}

/// The word as it was at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot(u64);

impl Snapshot {
    #[inline]
    pub(crate) fn state(self) -> BreakerState {
        match self.0 & ((1 << STATE_BITS) - 1) {
            0 => BreakerState::Closed,
            1 => BreakerState::Open,
            2 => BreakerState::HalfOpen,
            3 => BreakerState::ForcedOpen,
            _ => BreakerState::ForcedClosed,
        }
    }

    /// Grows with every change of state: what began in one era says nothing in the next.
    #[inline]
    pub(crate) fn era(self) -> u32 {
        (self.0 >> ERA_AT) as u32
    }

    /// Probes that run.
    pub(crate) fn leased(self) -> u32 {
        ((self.0 >> LEASED_AT) & ((1 << LEASED_BITS) - 1)) as u32
    }

    /// Probes that succeeded.
    pub(crate) fn passed(self) -> u32 {
        ((self.0 >> PASSED_AT) & ((1 << PASSED_BITS) - 1)) as u32
    }
}

/// What became of a probe that succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    /// It was the last one needed.
    Enough,
    /// More are needed.
    NotYet,
    /// Its era is over.
    TooLate,
}

/// The word.
#[derive(Debug)]
pub(crate) struct Gate(AtomicU64);

impl Gate {
    /// Closed, in the first era.
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    #[inline]
    pub(crate) fn now(&self) -> Snapshot {
        Snapshot(self.0.load(Acquire))
    }

    /// Begins a new era. Called by one at a time, who holds the lock of the machine; leases of the old era end with it.
    pub(crate) fn turn(&self, state: BreakerState) -> Snapshot {
        let era = u64::from(self.now().era().wrapping_add(1));
        let word = (era << ERA_AT) | state.bits();
        self.0.swap(word, AcqRel);
        Snapshot(word)
    }

    /// Leases a probe, if fewer than `at_once` run and more than those that run are `needed`. `None`: not now.
    pub(crate) fn lease(&self, at_once: u32, needed: u32) -> Option<Snapshot> {
        let mut now = self.now();
        loop {
            let (leased, passed) = (now.leased(), now.passed());
            if now.state() != BreakerState::HalfOpen || leased >= at_once || leased.saturating_add(passed) >= needed {
                return None;
            }
            match self.exchange(now, now.0 + (1 << LEASED_AT)) {
                Ok(leased) => return Some(leased),
                Err(newer) => now = newer,
            }
        }
    }

    /// Gives a lease back: the probe said nothing.
    pub(crate) fn give_back(&self, era: u32) {
        let mut now = self.now();
        while now.era() == era && now.leased() > 0 {
            match self.exchange(now, now.0 - (1 << LEASED_AT)) {
                Ok(_) => return,
                Err(newer) => now = newer,
            }
        }
    }

    /// Ends a lease with a success.
    pub(crate) fn pass(&self, era: u32, needed: u32) -> Passed {
        let mut now = self.now();
        while now.era() == era && now.leased() > 0 {
            match self.exchange(now, now.0 - (1 << LEASED_AT) + (1 << PASSED_AT)) {
                Ok(now) if now.passed() >= needed => return Passed::Enough,
                Ok(_) => return Passed::NotYet,
                Err(newer) => now = newer,
            }
        }
        Passed::TooLate
    }

    fn exchange(&self, now: Snapshot, next: u64) -> Result<Snapshot, Snapshot> {
        match self.0.compare_exchange_weak(now.0, next, Release, Relaxed) {
            Ok(_) => Ok(Snapshot(next)),
            Err(newer) => Err(Snapshot(newer)),
        }
    }
}
