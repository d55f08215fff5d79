use std::sync::Arc;

use super::{Cache, CacheFigures, Cached};
use crate::{Error, Message, telemetry::metrics::Metrics};

type Read = fn(&CacheFigures) -> u64;

const SERIES: [(&str, &str, Read); 9] = [
    ("kit_cache_hits_total", "Answers that were in the cache.", |figures| figures.hits),
    ("kit_cache_misses_total", "Answers that were not.", |figures| figures.misses),
    ("kit_cache_loads_total", "Loads that began.", |figures| figures.loads),
    ("kit_cache_failed_loads_total", "Loads that failed.", |figures| figures.failed_loads),
    ("kit_cache_coalesced_total", "Calls that shared the load of another.", |figures| figures.coalesced),
    ("kit_cache_overtaken_total", "Loaded answers that were out of date by then.", |figures| figures.overtaken),
    ("kit_cache_oversized_total", "Loaded answers that are too large to be kept.", |figures| figures.oversized),
    ("kit_cache_corrupt_total", "Values in the store that were not what was saved.", |figures| figures.corrupt),
    ("kit_cache_errors_total", "How often the store of the cache failed.", |figures| figures.errors),
];

impl<M: Message, C: Cache> Cached<M, C> {
    /// Adds the counters of the cache to the figures of its service: `kit_cache_...`, with its name as the label `cache`. They
    /// do not keep the store open.
    ///
    /// # Errors
    /// As [`Metrics::gauge_fn`].
    pub fn observe(&self, metrics: &Metrics) -> Result<(), Error> {
        let name = self.name().trim_end_matches(':');
        for (series, help, read) in SERIES {
            let figures = Arc::clone(&self.0.figures);
            metrics.counter_fn(series, help, &[("cache", name)], move || read(&figures.read()) as f64)?;
        }
        Ok(())
    }
}
