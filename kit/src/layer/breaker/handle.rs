use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;
use tower::Layer as _;

use super::{
    BreakerLayer,
    config::BreakerConfig,
    gate::BreakerState,
    machine::{End, Machine, Refusal, Ticket},
    refusal,
    rule::Verdict,
};
use crate::{
    Endpoint, Error, Middleware, Payload,
    layer::{change::Live, track::Outcome},
};

type Rule = Box<dyn Fn(Outcome<'_>) -> Verdict + Send + Sync>;

/// A breaker: a cheap handle, whose clones are one and the same.
///
/// As a [`Middleware`] it is one breaker for all endpoints that it is put around: what one method suffers opens it for all. Where
/// methods fail apart from each other, each wants a breaker of its own. See the [module](super).
#[derive(Clone)]
pub struct Breaker(Arc<Shared>);

struct Shared {
    machine: Machine,
    /// Times count from here.
    made: Instant,
    /// For refusals and for people. What calls need of it is in the machine.
    config: Live<BreakerConfig>,
    rule: Option<Rule>,
}

/// What a breaker is doing.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BreakerFigures {
    /// Its state.
    pub state: BreakerState,
    /// Calls in the window.
    pub calls: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// Those of them that were slow; 0 without a `slow_ratio`.
    pub slow: u64,
    /// Calls that run.
    pub in_flight: u64,
    /// Probes that run.
    pub probes: u32,
    /// Probes that succeeded, of those that are needed to close it.
    pub passed: u32,
    /// How often it opened without having been healthy in between.
    pub openings: u32,
    /// How long it has been in its state.
    pub since: Duration,
    /// How long until it lets a probe through. `None` when it is closed or forced.
    pub wait: Option<Duration>,
    /// Why it opened. `None` when it is closed or forced.
    pub why: Option<String>,
}

impl BreakerFigures {
    /// Failures by calls; 0 without calls.
    pub fn failure_ratio(&self) -> f64 {
        ratio(self.failures, self.calls)
    }

    /// Slow calls by calls; 0 without calls.
    pub fn slow_ratio(&self) -> f64 {
        ratio(self.slow, self.calls)
    }
}

fn ratio(some: u64, all: u64) -> f64 {
    some as f64 / all.max(1) as f64
}

impl Breaker {
    /// A closed breaker.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` that names the setting that can't be.
    pub fn new(config: &BreakerConfig) -> Result<Self, Error> {
        Self::build(config, None)
    }

    /// One that judges calls by a rule of yours instead of [`Verdict::of`]. The rule is asked at the end of each call that counts, and
    /// must not wait. It is not asked about calls that a layer of the kit refused, which never count. A call that was given up when
    /// its deadline had passed is shown to it as failed with `DEADLINE_EXCEEDED`.
    ///
    /// ```
    /// use kit::{Code, layer::breaker::{Breaker, BreakerConfig, Verdict}};
    ///
    /// // Here `ABORTED` means that the service behind is broken.
    /// let breaker = Breaker::with_rule(&BreakerConfig::default(), |outcome| match outcome.error() {
    ///     Some(error) if error.code() == Code::Aborted => Verdict::Failure,
    ///     _ => Verdict::of(outcome),
    /// })?;
    /// # let _ = breaker;
    /// # Ok::<(), kit::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Breaker::new`].
    pub fn with_rule(
        config: &BreakerConfig,
        rule: impl Fn(Outcome<'_>) -> Verdict + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        Self::build(config, Some(Box::new(rule)))
    }

    fn build(config: &BreakerConfig, rule: Option<Rule>) -> Result<Self, Error> {
        let live = Live::new("breaker", config)?;
        let machine = Machine::new(config, fastrand::u64(..));
        Ok(Self(Arc::new(Shared { machine, made: Instant::now(), config: live, rule })))
    }

    /// Changes the settings while it runs: they hold for the next call. The state stays, and what was counted too, unless the window
    /// is another one.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` that names the setting that can't be; then nothing is changed.
    pub fn reconfigure(&self, config: &BreakerConfig) -> Result<(), Error> {
        self.change(|_| Ok(config.clone()))
    }

    pub(super) fn change(
        &self,
        change: impl FnOnce(&BreakerConfig) -> Result<BreakerConfig, Error>,
    ) -> Result<(), Error> {
        self.0.config.change(change, |_, config| {
            self.0.machine.reconfigure(config);
            Ok(())
        })
    }

    pub(super) fn live(&self) -> &Live<BreakerConfig> {
        &self.0.config
    }

    /// The settings that hold now.
    pub fn config(&self) -> BreakerConfig {
        self.0.config.get()
    }

    /// Refuses all calls until [`release`](Self::release) or [`force_closed`](Self::force_closed).
    pub fn force_open(&self) {
        self.0.machine.force(BreakerState::ForcedOpen, self.now());
    }

    /// Makes all calls, however they end, until [`release`](Self::release) or [`force_open`](Self::force_open). `max_in_flight` holds
    /// on.
    pub fn force_closed(&self) {
        self.0.machine.force(BreakerState::ForcedClosed, self.now());
    }

    /// Ends what was forced: it is closed, and has counted nothing. Does nothing to a breaker that was not forced.
    pub fn release(&self) {
        self.0.machine.release(self.now());
    }

    /// The state now. An open breaker whose time is over is open until the next call, which is a probe.
    pub fn state(&self) -> BreakerState {
        self.0.machine.state()
    }

    /// What it is doing.
    pub fn figures(&self) -> BreakerFigures {
        let now = self.now();
        let view = self.0.machine.view(now);
        BreakerFigures {
            state: view.state,
            calls: view.figures.calls,
            failures: view.figures.failures,
            slow: view.figures.slow,
            in_flight: view.in_flight,
            probes: view.probes,
            passed: view.passed,
            openings: view.streak,
            since: Duration::from_nanos(now.saturating_sub(view.since)),
            wait: view.until.map(|until| Duration::from_nanos(until.saturating_sub(now))),
            why: view.cause.map(|cause| refusal::why(&cause)),
        }
    }

    #[inline]
    pub(super) fn machine(&self) -> &Machine {
        &self.0.machine
    }

    pub(super) fn now(&self) -> u64 {
        self.at(Instant::now())
    }

    /// Nanoseconds since it was made.
    #[inline]
    pub(super) fn at(&self, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(self.0.made);
        passed.as_secs().saturating_mul(1_000_000_000).saturating_add(passed.subsec_nanos().into())
    }

    #[inline]
    pub(super) fn admit(&self, now: impl Fn() -> Instant) -> Result<Ticket, Error> {
        self.0.machine.admit(|| self.at(now())).map_err(|refusal| self.refuse(refusal))
    }

    /// A call is over that says nothing.
    #[cold]
    pub(super) fn give_back(&self, ticket: Ticket) {
        let end = End { verdict: Verdict::Ignored, slow: false, code: None };
        self.0.machine.settle(ticket, end, || self.now());
    }

    #[cold]
    fn refuse(&self, refusal: Refusal) -> Error {
        refusal::error(refusal, self.0.machine.cause().as_deref(), &self.0.config.load())
    }

    /// What the call says of the service.
    #[inline]
    pub(super) fn judge(&self, outcome: Outcome<'_>, slow: bool) -> End {
        let verdict = match (&self.0.rule, outcome) {
            (_, Outcome::Failed(error)) if error.is_refusal() => Verdict::Ignored,
            (Some(rule), outcome) => rule(outcome),
            (None, outcome) => Verdict::of(outcome),
        };
        End { verdict, slow, code: outcome.error().map(Error::code) }
    }

    #[cfg(feature = "metrics")]
    pub(super) fn weak(&self) -> WeakBreaker {
        WeakBreaker(Arc::downgrade(&self.0))
    }
}

/// For those who look on, and must not keep it alive.
#[cfg(feature = "metrics")]
#[derive(Clone)]
pub(super) struct WeakBreaker(std::sync::Weak<Shared>);

#[cfg(feature = "metrics")]
impl WeakBreaker {
    pub(super) fn get(&self) -> Option<Breaker> {
        self.0.upgrade().map(Breaker)
    }
}

impl Middleware for Breaker {
    fn apply<Req: Payload, Res: Payload>(&self, endpoint: Endpoint<Req, Res>) -> Endpoint<Req, Res> {
        let layer = BreakerLayer::new(self);
        endpoint.wrap(layer.info(), |inner| layer.layer(inner))
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker").field("state", &self.state()).finish_non_exhaustive()
    }
}
