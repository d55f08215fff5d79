use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    AdaptiveConfig,
    algorithm::{Limit, Sample},
};
use crate::{
    Class, Code, Error,
    layer::{
        concurrency::{limiter::Limiter, service::Watch},
        track::Outcome,
    },
};

/// Calls that take a tenth less time with half of the limit waited for each other before; by less they may by chance.
const FASTER: f64 = 0.9;

/// Watches calls, and moves their limit.
pub(super) struct Tuner {
    limiter: Limiter,
    // Never held across an await: for one sample at a time.
    state: Mutex<State>,
}

struct State {
    limit: Box<dyn Limit>,
    settings: Settings,
    window: Window,
    /// How long the calls of the window before took on average.
    usual: Duration,
    phase: Phase,
}

#[derive(Clone, Copy)]
struct Settings {
    min: f64,
    max: f64,
    window: Duration,
    min_samples: u32,
    probe: Option<Duration>,
}

impl From<&AdaptiveConfig> for Settings {
    fn from(config: &AdaptiveConfig) -> Self {
        Self {
            min: config.min.into(),
            max: config.max.into(),
            window: config.window,
            min_samples: config.min_samples,
            probe: config.probe,
        }
    }
}

/// What is being learned.
#[derive(Clone, Copy)]
enum Phase {
    /// Whether the limit fits.
    Steady { probe_at: Option<Instant> },
    /// How long calls take without load: `limit`, half of what held before, holds since then. `took` is how long calls took before.
    Probing { since: Instant, limit: f64, took: Duration },
}

impl Phase {
    fn steady(now: Instant, probe: Option<Duration>) -> Self {
        Self::Steady { probe_at: probe.and_then(|probe| now.checked_add(probe)) }
    }
}

/// The calls of one window.
#[derive(Clone, Copy)]
struct Window {
    since: Instant,
    answered: u32,
    took: Duration,
    in_flight: u32,
    dropped: bool,
    ended: u32,
}

impl Window {
    fn new(since: Instant) -> Self {
        Self { since, answered: 0, took: Duration::ZERO, in_flight: 0, dropped: false, ended: 0 }
    }

    fn add(&mut self, took: Duration, in_flight: u32, dropped: bool) {
        self.ended += 1;
        self.in_flight = self.in_flight.max(in_flight);
        if dropped {
            self.dropped = true;
        } else {
            self.answered += 1;
            self.took = self.took.saturating_add(took);
        }
    }

    fn sample(&self) -> Sample {
        let rtt = self.took.checked_div(self.answered).unwrap_or_default();
        Sample { rtt, in_flight: self.in_flight, dropped: self.dropped }
    }
}

/// Whether a call was dropped by overload; `None` for one that says nothing about load.
fn was_dropped(outcome: Outcome<'_>) -> Option<bool> {
    match outcome {
        Outcome::Answered => Some(false),
        Outcome::Dropped => None,
        Outcome::Failed(error) => match (error.class(), error.code()) {
            (Class::Caller, _) => Some(false),
            (Class::Transient, _) | (_, Code::DeadlineExceeded) => Some(true),
            (Class::Rejected, _) => is_overload(error).then_some(true),
            // A failure that came at once would look like spare capacity.
            (Class::Cancelled | Class::Fault, _) => None,
        },
    }
}

/// A quota that is used up, or a breaker that is open, is no overload of what is called.
fn is_overload(error: &Error) -> bool {
    match error.reason() {
        Some(reason) if reason.domain == "kit" => {
            matches!(&*reason.reason, "CONCURRENCY_LIMIT" | "QUEUE_TIMEOUT" | "OVERLOADED")
        }
        _ => true,
    }
}

impl State {
    /// Adds a call; the limit that is to hold when that changes it.
    fn add(&mut self, start: Instant, now: Instant, in_flight: u32, dropped: bool) -> Option<f64> {
        if let Phase::Probing { since, limit, .. } = self.phase
            && (start < since || f64::from(in_flight) > limit)
        {
            // It began with others beside it that are not there any more, if only in the same moment.
            return None;
        }
        self.window.add(now.saturating_duration_since(start), in_flight, dropped);
        let over = now.saturating_duration_since(self.window.since) >= self.settings.window;
        if !over || self.window.ended < self.settings.min_samples {
            return None;
        }
        let sample = std::mem::replace(&mut self.window, Window::new(now)).sample();
        self.usual = sample.rtt;
        Some(self.learn(now, &sample))
    }

    fn learn(&mut self, now: Instant, sample: &Sample) -> f64 {
        match self.phase {
            Phase::Probing { limit, took, .. } => {
                let half = self.half(limit);
                if !sample.dropped && half < limit && sample.rtt < took.mul_f64(FASTER) {
                    // They had waited for each other, and may still: the limit was far above what the service can work on.
                    self.phase = Phase::Probing { since: now, limit: half, took: sample.rtt };
                    return half;
                }
                if !sample.dropped {
                    // The less of the two: fewer calls at once that took more time did so by chance.
                    self.limit.rebase(sample.rtt.min(took));
                }
                self.phase = Phase::steady(now, self.settings.probe);
                self.bounded()
            }
            Phase::Steady { probe_at } => {
                let limit = self.update(sample);
                if probe_at.is_none_or(|at| now < at) || sample.dropped {
                    return limit;
                }
                let half = self.half(limit);
                if f64::from(sample.in_flight) <= half {
                    // There is so little load that nobody has to wait for the answer.
                    self.limit.rebase(sample.rtt);
                    self.phase = Phase::steady(now, self.settings.probe);
                    return limit;
                }
                self.phase = Phase::Probing { since: now, limit: half, took: sample.rtt };
                half
            }
        }
    }

    fn update(&mut self, sample: &Sample) -> f64 {
        let updated = self.limit.update(sample);
        let bounded = self.bound(updated);
        if bounded != updated {
            self.limit.set(bounded);
        }
        bounded
    }

    fn half(&self, limit: f64) -> f64 {
        (limit / 2.0).max(self.settings.min)
    }

    /// The limit between its bounds.
    fn bounded(&self) -> f64 {
        self.bound(self.limit.limit())
    }

    fn bound(&self, limit: f64) -> f64 {
        // An algorithm of somebody else's may say anything.
        let limit = if limit.is_finite() { limit } else { self.settings.min };
        limit.clamp(self.settings.min, self.settings.max)
    }
}

impl Tuner {
    pub(super) fn new(limiter: &Limiter, config: &AdaptiveConfig, limit: Box<dyn Limit>) -> Self {
        let (now, settings) = (Instant::now(), Settings::from(config));
        let phase = Phase::steady(now, settings.probe);
        let state = State { limit, settings, window: Window::new(now), usual: Duration::ZERO, phase };
        let tuner = Self { limiter: limiter.clone(), state: Mutex::new(state) };
        tuner.bound(&mut tuner.state(), config);
        tuner
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the settings; with an algorithm, it goes on from the limit that there is.
    pub(super) fn reconfigure(&self, config: &AdaptiveConfig, build: bool) {
        let mut state = self.state();
        let now = Instant::now();
        state.settings = config.into();
        state.phase = Phase::steady(now, config.probe);
        state.window = Window::new(now);
        if build {
            state.limit = config.build(state.bounded());
        }
        self.bound(&mut state, config);
    }

    /// Puts the limit between its bounds, and lets it hold with the settings.
    fn bound(&self, state: &mut State, config: &AdaptiveConfig) {
        let limit = state.bounded();
        state.limit.set(limit);
        // With the lock of the state: no window that ends meanwhile moves the limit in between.
        self.limiter.reconfigure(limit as u32, config.admission());
    }

    fn apply(&self, limit: f64) {
        // Bounded by settings that are u32.
        let limit = limit as u32;
        if limit != self.limiter.limit() {
            self.limiter.set_limit(limit);
        }
    }

    /// Whether half of the limit is being tried.
    pub(super) fn is_probing(&self) -> bool {
        matches!(self.state().phase, Phase::Probing { .. })
    }
}

impl Watch for Tuner {
    fn ended(&self, start: Instant, now: Instant, in_flight: u32, outcome: Outcome<'_>) {
        let Some(dropped) = was_dropped(outcome) else { return };
        let mut state = self.state();
        if let Some(limit) = state.add(start, now, in_flight, dropped) {
            // With the lock, so that of two limits the newer one stays.
            self.apply(limit);
        }
    }

    fn given_up(&self, start: Instant, now: Instant, in_flight: u32) {
        let mut state = self.state();
        // Without these calls nothing would be learned when all of them are too late. Of a caller that waits less than calls take
        // anyway nothing can be: it would look like a service that is fast.
        if now.saturating_duration_since(start) > state.usual
            && let Some(limit) = state.add(start, now, in_flight, false)
        {
            self.apply(limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_overload_is_overload() {
        let rejected = |reason| Error::resource_exhausted("no").with_reason(reason, "kit").as_rejection();
        for (error, dropped) in [
            (Error::not_found("no book"), Some(false)),
            (Error::unavailable("away"), Some(true)),
            (Error::deadline_exceeded("late"), Some(true)),
            (Error::resource_exhausted("full"), Some(true)),
            (rejected("CONCURRENCY_LIMIT"), Some(true)),
            (rejected("OVERLOADED"), Some(true)),
            (rejected("RATE_LIMITED"), None),
            (rejected("BREAKER_OPEN"), None),
            (Error::internal("a bug"), None),
            (Error::cancelled("gone"), None),
        ] {
            assert_eq!(was_dropped(Outcome::Failed(&error)), dropped, "{error}");
        }
        assert_eq!(was_dropped(Outcome::Answered), Some(false));
        assert_eq!(was_dropped(Outcome::Dropped), None);
    }
}
