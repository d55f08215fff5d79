use std::sync::Arc;

use super::Tasks;
use crate::{Error, telemetry::metrics::Metrics};

impl Tasks {
    /// Adds the counters of background tasks to the figures of their service: `kit_tasks_...`. They keep no task running.
    ///
    /// # Errors
    /// As [`Metrics::gauge_fn`].
    pub fn observe(&self, metrics: &Metrics) -> Result<(), Error> {
        let figures = Arc::clone(&self.shared.figures);
        metrics.gauge_fn("kit_tasks_running", "Background tasks that run.", &[], move || figures.running() as f64)?;
        let figures = Arc::clone(&self.shared.figures);
        let help = "Background tasks that panicked.";
        metrics.counter_fn("kit_tasks_panicked_total", help, &[], move || figures.panicked_and_refused().0 as f64)?;
        let figures = Arc::clone(&self.shared.figures);
        let help = "Background tasks that were not started: too many ran, or the service stopped.";
        metrics.counter_fn("kit_tasks_refused_total", help, &[], move || figures.panicked_and_refused().1 as f64)
    }
}
