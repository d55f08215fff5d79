//! When a breaker opens, probes and closes. Times are nanoseconds since the breaker was made.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};

use arc_swap::ArcSwapOption;

use super::{
    config::{BreakerConfig, PARTS, nanos, parts},
    gate::{BreakerState, Gate, Passed, Snapshot},
    rule::Verdict,
    tally::MOST_RUNNING,
    window::{Bad, Figures, Shape, Window},
};
use crate::Code;

/// Why it opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Failures,
    Slow,
    Probe,
}

/// Why it opened, and on what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) why: Why,
    pub(super) figures: Figures,
    /// That of the last failure.
    pub(super) code: Option<Code>,
}

/// A call that is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Open {
        wait: u64,
    },
    Forced,
    /// The probes that there may be run.
    Probing {
        wait: u64,
    },
    Full {
        most: u32,
    },
}

impl Refusal {
    /// The names, in the order of the counters.
    pub(super) const NAMES: [&'static str; 4] = ["open", "forced", "half_open", "full"];

    const fn index(self) -> usize {
        match self {
            Self::Open { .. } => 0,
            Self::Forced => 1,
            Self::Probing { .. } => 2,
            Self::Full { .. } => 3,
        }
    }
}

/// A call that is made. It is given back to [`Machine::settle`].
#[derive(Debug)]
pub(super) struct Ticket {
    era: u32,
    pub(super) probe: bool,
}

/// How a call ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) verdict: Verdict,
    pub(super) slow: bool,
    pub(super) code: Option<Code>,
}

/// All that people ask for.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) state: BreakerState,
    pub(super) figures: Figures,
    pub(super) in_flight: u64,
    pub(super) since: u64,
    /// When it lets probes through; in their time, when it takes those that run for lost.
    pub(super) until: Option<u64>,
    pub(super) cause: Option<Cause>,
    pub(super) streak: u32,
    pub(super) probes: u32,
    pub(super) passed: u32,
}

#[derive(Debug)]
pub(super) struct Machine {
    gate: Gate,
    until: AtomicU64,
    window: Window,
    limits: Limits,
    last_code: AtomicU32,
    cause: ArcSwapOption<Cause>,
    turns: [AtomicU64; BreakerState::ALL.len()],
    refused: [AtomicU64; Refusal::NAMES.len()],
    /// Held by whoever changes the state.
    story: Mutex<Story>,
}

/// What calls read.
#[derive(Debug, Default)]
struct Limits {
    ceiling: AtomicU32,
    slow_call: AtomicU64,
    min_calls: AtomicU64,
    failed_parts: AtomicU64,
    slow_parts: AtomicU64,
    probes: AtomicU32,
    successes: AtomicU32,
}

/// No share of calls is above it.
const NEVER: u64 = u64::MAX;

impl Limits {
    fn set(&self, config: &BreakerConfig) {
        self.ceiling.store(config.max_in_flight.unwrap_or(MOST_RUNNING), Relaxed);
        self.slow_call.store(config.slow_ratio.map_or(NEVER, |_| nanos(config.slow_call)), Relaxed);
        self.min_calls.store(u64::from(config.min_calls), Relaxed);
        self.failed_parts.store(parts(config.failure_ratio), Relaxed);
        self.slow_parts.store(config.slow_ratio.map_or(NEVER, parts), Relaxed);
        self.probes.store(config.probes, Relaxed);
        self.successes.store(config.successes, Relaxed);
    }

    #[inline]
    fn broken_by(&self, figures: Figures) -> Option<Why> {
        if figures.calls < self.min_calls.load(Relaxed) {
            return None;
        }
        let above =
            |bad: u64, parts: &AtomicU64| bad.saturating_mul(PARTS) > parts.load(Relaxed).saturating_mul(figures.calls);
        if above(figures.failures, &self.failed_parts) {
            Some(Why::Failures)
        } else if above(figures.slow, &self.slow_parts) {
            Some(Why::Slow)
        } else {
            None
        }
    }
}

#[derive(Debug)]
struct Story {
    shape: Shape,
    open_for: u64,
    open_max: u64,
    growth: f64,
    jitter: f64,
    random: fastrand::Rng,
    since: u64,
    /// How often it opened without having been healthy in between.
    streak: u32,
    /// How long it was to be open the last time.
    open_time: u64,
}

impl Story {
    fn set(&mut self, config: &BreakerConfig) {
        (self.open_for, self.open_max) = (nanos(config.open_for), nanos(config.open_max));
        (self.growth, self.jitter) = (config.growth, config.jitter);
    }

    /// How long it is open now.
    fn next_open_time(&mut self) -> u64 {
        let grown = self.open_for as f64 * self.growth.powi(i32::try_from(self.streak).unwrap_or(i32::MAX));
        // What is too large for a number is cut to the largest, and then to what is configured.
        self.open_time = (grown as u64).min(self.open_max);
        self.streak = self.streak.saturating_add(1);
        let more = self.open_time as f64 * self.jitter * self.random.f64();
        self.open_time.saturating_add(more as u64)
    }
}

impl Machine {
    /// `config` has been checked.
    pub(super) fn new(config: &BreakerConfig, seed: u64) -> Self {
        let shape = config.shape();
        let mut story = Story {
            shape,
            open_for: 0,
            open_max: 0,
            growth: 1.0,
            jitter: 0.0,
            random: fastrand::Rng::with_seed(seed),
            since: 0,
            streak: 0,
            open_time: 0,
        };
        story.set(config);
        let limits = Limits::default();
        limits.set(config);
        Self {
            gate: Gate::new(),
            until: AtomicU64::new(0),
            window: Window::new(shape),
            limits,
            last_code: AtomicU32::new(0),
            cause: ArcSwapOption::empty(),
            turns: Default::default(),
            refused: Default::default(),
            story: Mutex::new(story),
        }
    }

    /// Other settings, from the next call on. What was counted is kept, unless the window is another one.
    pub(super) fn reconfigure(&self, config: &BreakerConfig) {
        let story = &mut *self.lock();
        self.limits.set(config);
        story.set(config);
        let shape = config.shape();
        if shape != story.shape {
            story.shape = shape;
            self.window.reset(self.gate.now().era(), Some(shape));
        }
    }

    /// A call that takes longer than this is slow; `None` when nobody asks.
    #[inline]
    pub(super) fn slow_call(&self) -> Option<u64> {
        Some(self.limits.slow_call.load(Relaxed)).filter(|limit| *limit != NEVER)
    }

    #[inline]
    pub(super) fn admit(&self, now: impl Fn() -> u64) -> Result<Ticket, Refusal> {
        // What is so nearly always is decided in the code of the caller: a look and an addition.
        let seen = self.gate.now();
        if seen.state() == BreakerState::Closed && self.window.tally.enter(self.limits.ceiling.load(Relaxed)) {
            return Ok(Ticket { era: seen.era(), probe: false });
        }
        self.admit_slowly(now)
    }

    #[inline(never)]
    fn admit_slowly(&self, now: impl Fn() -> u64) -> Result<Ticket, Refusal> {
        let admitted = self.decide(now);
        if let Err(refusal) = &admitted
            && let Some(count) = self.refused.get(refusal.index())
        {
            count.fetch_add(1, Relaxed);
        }
        admitted
    }

    fn decide(&self, now: impl Fn() -> u64) -> Result<Ticket, Refusal> {
        loop {
            let seen = self.gate.now();
            match seen.state() {
                BreakerState::Closed | BreakerState::ForcedClosed => return self.enter(seen, false),
                BreakerState::ForcedOpen => return Err(Refusal::Forced),
                BreakerState::Open => {
                    let now = now();
                    match self.until.load(Relaxed).saturating_sub(now) {
                        0 => self.begin_probing(seen, now),
                        wait => return Err(Refusal::Open { wait }),
                    }
                }
                BreakerState::HalfOpen => {
                    let limits = &self.limits;
                    if let Some(leased) = self.gate.lease(limits.probes.load(Relaxed), limits.successes.load(Relaxed)) {
                        return self.enter(leased, true).inspect_err(|_| self.gate.give_back(leased.era()));
                    }
                    if self.gate.now().era() != seen.era() {
                        continue;
                    }
                    let now = now();
                    match self.until.load(Relaxed).saturating_sub(now) {
                        // Probes that never end must not keep it half open for ever.
                        0 => self.begin_probing(seen, now),
                        wait => return Err(Refusal::Probing { wait }),
                    }
                }
            }
        }
    }

    fn enter(&self, seen: Snapshot, probe: bool) -> Result<Ticket, Refusal> {
        let most = self.limits.ceiling.load(Relaxed);
        if self.window.tally.enter(most) { Ok(Ticket { era: seen.era(), probe }) } else { Err(Refusal::Full { most }) }
    }

    fn begin_probing(&self, seen: Snapshot, now: u64) {
        let story = &mut *self.lock();
        if self.gate.now().era() != seen.era() {
            return;
        }
        self.until.store(now.saturating_add(story.open_for), Relaxed);
        if seen.state() == BreakerState::HalfOpen {
            self.gate.turn(BreakerState::HalfOpen);
        } else {
            self.turn(story, BreakerState::HalfOpen, now);
        }
    }

    /// A call is over.
    #[inline]
    pub(super) fn settle(&self, ticket: Ticket, end: End, now: impl Fn() -> u64) {
        let seen = self.gate.now();
        let counts = seen.era() == ticket.era && seen.state() == BreakerState::Closed;
        // As in `admit`: what is so nearly always.
        if counts && !ticket.probe && end.verdict == Verdict::Success && !end.slow {
            if self.limits.broken_by(self.window.good(&now)).is_some() {
                self.doubt(ticket.era, now());
            }
            return;
        }
        self.settle_slowly(ticket, end, now);
    }

    /// Perhaps it is broken: bad calls that have left the window were in the figures.
    #[cold]
    fn doubt(&self, era: u32, now: u64) {
        self.judge(self.window.figures(now), era, now);
    }

    #[inline(never)]
    fn settle_slowly(&self, mut ticket: Ticket, end: End, now: impl Fn() -> u64) {
        if ticket.probe {
            self.settle_probe(&mut ticket, end, now);
            self.window.tally.leave();
            return;
        }
        let seen = self.gate.now();
        let counts = seen.era() == ticket.era && seen.state() == BreakerState::Closed;
        let bad = match end.verdict {
            // A good one comes here when it does not count.
            Verdict::Success if !end.slow => return self.window.tally.leave(),
            Verdict::Success => Bad { failed: false, slow: true },
            Verdict::Failure => Bad { failed: true, slow: end.slow },
            Verdict::Ignored => return self.window.tally.leave(),
        };
        if !counts {
            self.window.tally.leave();
        } else {
            if let Some(code) = end.code {
                self.last_code.store(code as u32, Relaxed);
            }
            let now = now();
            if let Some(figures) = self.window.bad(bad, ticket.era, now) {
                self.judge(figures, ticket.era, now);
            }
        }
    }

    /// What a probe says is known; the call may go on.
    pub(super) fn settle_probe(&self, ticket: &mut Ticket, end: End, now: impl Fn() -> u64) {
        if !std::mem::take(&mut ticket.probe) {
            return;
        }
        match end.verdict {
            Verdict::Ignored => self.gate.give_back(ticket.era),
            Verdict::Success if !end.slow => {
                let needed = self.limits.successes.load(Relaxed);
                if self.gate.pass(ticket.era, needed) == Passed::Enough {
                    let story = &mut *self.lock();
                    if self.gate.now().era() == ticket.era {
                        self.close(story, now());
                    }
                }
            }
            Verdict::Success | Verdict::Failure => {
                self.last_code.store(end.code.map_or(0, |code| code as u32), Relaxed);
                self.open(Why::Probe, Figures::default(), ticket.era, now());
            }
        }
    }

    fn judge(&self, figures: Figures, era: u32, now: u64) {
        if let Some(why) = self.limits.broken_by(figures) {
            self.open(why, figures, era, now);
        }
    }

    fn open(&self, why: Why, figures: Figures, era: u32, now: u64) {
        let story = &mut *self.lock();
        let seen = self.gate.now();
        if seen.era() != era {
            return;
        }
        if seen.state() == BreakerState::Closed && now.saturating_sub(story.since) >= story.open_time {
            story.streak = 0;
        }
        let code = Code::from_i32(self.last_code.load(Relaxed) as i32);
        let code = Some(code).filter(|code| *code != Code::Ok && why != Why::Slow);
        let cause = Cause { why, figures, code };
        self.cause.store(Some(Arc::new(cause)));
        self.until.store(now.saturating_add(story.next_open_time()), Relaxed);
        self.turn(story, BreakerState::Open, now);
    }

    fn close(&self, story: &mut Story, now: u64) {
        // First the window: a call of the old era that ends now must not count in it.
        self.window.reset(self.gate.now().era().wrapping_add(1), None);
        self.last_code.store(0, Relaxed);
        self.cause.store(None);
        self.turn(story, BreakerState::Closed, now);
    }

    /// Forces a state until [`release`](Self::release).
    pub(super) fn force(&self, state: BreakerState, now: u64) {
        let story = &mut *self.lock();
        if self.gate.now().state() != state {
            self.cause.store(None);
            self.turn(story, state, now);
        }
    }

    /// Closes it, if it was forced, as if it were new.
    pub(super) fn release(&self, now: u64) {
        let story = &mut *self.lock();
        if matches!(self.gate.now().state(), BreakerState::ForcedOpen | BreakerState::ForcedClosed) {
            (story.streak, story.open_time) = (0, 0);
            self.close(story, now);
        }
    }

    fn turn(&self, story: &mut Story, state: BreakerState, now: u64) {
        story.since = now;
        if let Some(at) = BreakerState::ALL.iter().position(|known| *known == state)
            && let Some(count) = self.turns.get(at)
        {
            count.fetch_add(1, Relaxed);
        }
        self.gate.turn(state);
    }

    pub(super) fn state(&self) -> BreakerState {
        self.gate.now().state()
    }

    pub(super) fn cause(&self) -> Option<Arc<Cause>> {
        self.cause.load_full()
    }

    pub(super) fn in_flight(&self) -> u64 {
        self.window.tally.running()
    }

    /// How often it came into each state, in the order of [`BreakerState::ALL`].
    #[cfg(feature = "metrics")]
    pub(super) fn turns(&self, index: usize) -> u64 {
        self.turns.get(index).map_or(0, |count| count.load(Relaxed))
    }

    /// How many calls were refused, in the order of [`Refusal::NAMES`].
    #[cfg(feature = "metrics")]
    pub(super) fn refused(&self, index: usize) -> u64 {
        self.refused.get(index).map_or(0, |count| count.load(Relaxed))
    }

    pub(super) fn view(&self, now: u64) -> View {
        let story = &*self.lock();
        let seen = self.gate.now();
        let waits = matches!(seen.state(), BreakerState::Open | BreakerState::HalfOpen);
        View {
            state: seen.state(),
            figures: self.window.figures(now),
            in_flight: self.in_flight(),
            since: story.since,
            until: waits.then(|| self.until.load(Relaxed)),
            cause: self.cause.load().as_deref().copied(),
            streak: story.streak,
            probes: seen.leased(),
            passed: seen.passed(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Story> {
        self.story.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
