//! What Prometheus is told of a breaker.

use super::{Breaker, BreakerState, machine::Refusal};
use crate::{
    Error, Method,
    telemetry::metrics::{Metrics, Side},
};

impl Breaker {
    /// Adds its figures to those of a service, as the series of one method: `kit_breaker_...`. A breaker that several methods share
    /// is told of once for each. The figures do not keep it alive: of one that is gone they are 0.
    ///
    /// # Errors
    /// As [`Metrics::gauge_fn`].
    pub fn observe(&self, metrics: &Metrics, method: &Method, side: Side) -> Result<(), Error> {
        let with = |more: Option<(&'static str, &'static str)>| {
            let ours = [("rpc_service", &*method.service), ("rpc_method", &*method.name), ("side", side.name())];
            ours.into_iter().chain(more).collect::<Vec<_>>()
        };
        let read = |read: fn(&Breaker, usize) -> f64, index: usize| {
            let this = self.weak();
            move || this.get().map_or(0.0, |breaker| read(&breaker, index))
        };
        for (index, state) in BreakerState::ALL.into_iter().enumerate() {
            let help = "1 for the state that the breaker is in, 0 for the others.";
            let is = read(|breaker, index| f64::from(BreakerState::ALL.get(index) == Some(&breaker.state())), index);
            metrics.gauge_fn("kit_breaker_state", help, &with(Some(("state", state.name()))), is)?;
            let help = "How often the breaker came into a state.";
            let turns = read(|breaker, index| breaker.machine().turns(index) as f64, index);
            metrics.counter_fn("kit_breaker_transitions_total", help, &with(Some(("to", state.name()))), turns)?;
        }
        for (index, reason) in Refusal::NAMES.into_iter().enumerate() {
            let help =
                "Calls that the breaker refused: open, forced, half_open (only probes pass), full (max_in_flight).";
            let refused = read(|breaker, index| breaker.machine().refused(index) as f64, index);
            metrics.counter_fn("kit_breaker_rejected_total", help, &with(Some(("reason", reason))), refused)?;
        }
        let in_flight = read(|breaker, _| breaker.machine().in_flight() as f64, 0);
        metrics.gauge_fn(
            "kit_breaker_in_flight",
            "Calls that the breaker let through and that run.",
            &with(None),
            in_flight,
        )?;
        let ratio = read(|breaker, _| breaker.figures().failure_ratio(), 0);
        metrics.gauge_fn(
            "kit_breaker_failure_ratio",
            "Share of the calls in the window that failed.",
            &with(None),
            ratio,
        )?;
        let ratio = read(|breaker, _| breaker.figures().slow_ratio(), 0);
        metrics.gauge_fn(
            "kit_breaker_slow_ratio",
            "Share of the calls in the window that were slow.",
            &with(None),
            ratio,
        )
    }
}
