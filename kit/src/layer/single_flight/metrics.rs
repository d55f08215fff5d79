use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{SingleFlight, layer::Figures};
use crate::{
    Error, Method,
    telemetry::metrics::{Metrics, Side},
};

type Read = fn(&Figures) -> &AtomicU64;

const COUNTERS: [(&str, &str, Read); 4] = [
    ("kit_single_flight_begun_total", "Calls that were made for all who waited for them.", |figures| &figures.begun),
    ("kit_single_flight_shared_total", "Calls that got the outcome of another.", |figures| &figures.shared),
    ("kit_single_flight_taken_over_total", "Calls that another went on with when their caller went away.", |figures| {
        &figures.taken_over
    }),
    ("kit_single_flight_apart_total", "Calls that were not joined: too many at once, or too large.", |figures| {
        &figures.apart
    }),
];

impl SingleFlight {
    /// Adds what it does with a method to the figures of its service: `kit_single_flight_...`.
    ///
    /// # Errors
    /// As [`Metrics::gauge_fn`].
    pub fn observe(&self, metrics: &Metrics, method: &Method, side: Side) -> Result<(), Error> {
        let labels = [("rpc_service", &*method.service), ("rpc_method", &*method.name), ("side", side.name())];
        let figures = self.figures(method);
        for (name, help, read) in COUNTERS {
            let figures = Arc::clone(&figures);
            metrics.counter_fn(name, help, &labels, move || read(&figures).load(Ordering::Relaxed) as f64)?;
        }
        let help = "Calls that run for all who wait for them.";
        metrics.gauge_fn("kit_single_flight_running", help, &labels, move || {
            figures.running.load(Ordering::Relaxed) as f64
        })
    }
}
