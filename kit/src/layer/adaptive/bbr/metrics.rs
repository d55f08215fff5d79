use std::sync::Arc;

use super::{Bbr, BbrFigures};
use crate::{
    Error, Method,
    telemetry::metrics::{Metrics, Side},
};

impl Bbr {
    /// Adds the figures of the protection to those of its service: `kit_bbr_...`. One that stands around several methods is
    /// shown once for each of them that this is called for, each time as a whole.
    ///
    /// # Errors
    /// As [`Metrics::gauge_fn`].
    pub fn observe(&self, metrics: &Metrics, method: &Method, side: Side) -> Result<(), Error> {
        type Read = fn(BbrFigures) -> f64;
        let labels = [("rpc_service", &*method.service), ("rpc_method", &*method.name), ("side", side.name())];
        let read = |read: Read| {
            let shared = Arc::downgrade(&self.0);
            move || shared.upgrade().map_or(0.0, |shared| read(shared.figures()))
        };
        let gauges: [(&str, &str, Read); 3] = [
            ("kit_bbr_cpu", "How busy the processors were of late, from 0 to 1.", |figures| figures.cpu),
            ("kit_bbr_in_flight", "Calls that run, streams until their answer begins.", |figures| {
                figures.in_flight as f64
            }),
            (
                "kit_bbr_capacity",
                "How many calls the service can work on at once; 0 when there were none.",
                |figures| figures.capacity.unwrap_or(0.0),
            ),
        ];
        for (name, help, figure) in gauges {
            metrics.gauge_fn(name, help, &labels, read(figure))?;
        }
        let help = "Calls that were refused because the system was overloaded.";
        metrics.counter_fn("kit_bbr_rejected_total", help, &labels, read(|figures| figures.rejected as f64))
    }
}
