//! What Prometheus is told of faults.

use super::{Fault, FaultFigures};
use crate::{
    Error, Method,
    telemetry::metrics::{Metrics, Side},
};

type Read = fn(FaultFigures) -> u64;

const KINDS: [(&str, Read); 2] = [("delay", |figures| figures.delays), ("abort", |figures| figures.aborts)];

impl Fault {
    /// Adds what is done to the calls of a method to the figures of its service: `kit_fault_injected_total`,
    /// `kit_fault_skipped_total`.
    ///
    /// # Errors
    /// As [`Metrics::counter_fn`].
    pub fn observe(&self, metrics: &Metrics, method: &Method, side: Side) -> Result<(), Error> {
        let labels = [("rpc_service", &*method.service), ("rpc_method", &*method.name), ("side", side.name())];
        for (kind, read) in KINDS {
            let [service, name, side] = labels;
            let (labels, cells) = ([service, name, side, ("kind", kind)], self.cells(method));
            let help = "Faults that were made on purpose.";
            metrics.counter_fn("kit_fault_injected_total", help, &labels, move || read(cells.read()) as f64)?;
        }
        let (help, cells) = ("Calls that were not delayed because so many waited.", self.cells(method));
        metrics.counter_fn("kit_fault_skipped_total", help, &labels, move || cells.read().skipped as f64)
    }
}
