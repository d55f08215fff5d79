//! What Prometheus is told of refused callers.

use super::{Auth, AuthFigures, Failure, figures::ERROR};
use crate::{
    Error, Method,
    telemetry::metrics::{Metrics, Side},
};

const NAME: &str = "kit_auth_rejected_total";
const HELP: &str = "Calls that were refused because it is not known who makes them.";

impl Auth {
    /// Adds what is refused of a method to the figures of its service: `kit_auth_rejected_total`.
    ///
    /// # Errors
    /// As [`Metrics::counter_fn`].
    pub fn observe(&self, metrics: &Metrics, method: &Method, side: Side) -> Result<(), Error> {
        let add = |reason: &'static str, read: Box<dyn Fn(AuthFigures) -> u64 + Send + Sync>| {
            let labels = [
                ("rpc_service", &*method.service),
                ("rpc_method", &*method.name),
                ("side", side.name()),
                ("reason", reason),
            ];
            // The cells alone: figures keep no authenticator alive.
            let cells = self.cells(method);
            metrics.counter_fn(NAME, HELP, &labels, move || read(cells.read()) as f64)
        };
        for why in Failure::ALL {
            add(why.name(), Box::new(move |figures| figures.rejected(why)))?;
        }
        add(ERROR, Box::new(|figures| figures.errors))
    }
}
