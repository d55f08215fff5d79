use super::{Database, on_pool};
use crate::{Error, telemetry::metrics::Metrics};

impl Database {
    /// Adds the state of the pool to the figures of a service, labelled with the URL without its secrets:
    /// `kit_sql_connections` that are `idle` or `used`, and `kit_sql_connections_max`.
    ///
    /// # Errors
    /// As [`Metrics::gauge_fn`].
    pub fn observe(&self, metrics: &Metrics) -> Result<(), Error> {
        let label = ("database", &*self.target);
        let (name, help) = ("kit_sql_connections", "Connections of the pool that are open.");
        let this = self.clone();
        metrics.gauge_fn(name, help, &[label, ("state", "idle")], move || {
            on_pool!(this, pool => pool.num_idle()) as f64
        })?;
        let this = self.clone();
        metrics.gauge_fn(
            name,
            help,
            &[label, ("state", "used")],
            move || on_pool!(this, pool => used(pool.size(), pool.num_idle())),
        )?;
        let max = on_pool!(self, pool => pool.options().get_max_connections());
        let help = "The most connections that the pool opens.";
        metrics.gauge_fn("kit_sql_connections_max", help, &[label], move || f64::from(max))
    }
}

/// The two numbers are read one after the other: a connection may come back in between.
fn used(open: u32, idle: usize) -> f64 {
    (f64::from(open) - idle as f64).max(0.0)
}
