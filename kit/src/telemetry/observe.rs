//! What the parts of the kit that are no layers tell of themselves: their counters become series of a service's figures.

use super::{metrics::Metrics, report::ErrorReports};
use crate::{Error, task::Tasks};

/// Adds counters of one kind of figures: name, help, and how each is read of what `read` gives.
macro_rules! counters {
    ($metrics:expr, $read:expr, { $($name:literal, $help:literal => $field:ident;)* }) => {
        $({
            let read = $read;
            $metrics.counter_fn($name, $help, &[], move || read().$field as f64)?;
        })*
    };
}

#[cfg(feature = "trace")]
impl crate::trace::Tracer {
    /// Adds the tracer's counters to the figures of its service: `kit_trace_...`.
    ///
    /// # Errors
    /// As [`Metrics::gauge_fn`].
    pub fn observe(&self, metrics: &Metrics) -> Result<(), Error> {
        let read = || {
            let this = self.clone();
            move || this.figures()
        };
        counters!(metrics, read(), {
            "kit_trace_spans_recorded_total", "Spans that are over and were handed to the exporter." => recorded;
            "kit_trace_headers_malformed_total", "Headers of a trace that made no sense and were passed over." => malformed;
            "kit_trace_wishes_refused_total", "Wishes of callers that are not trusted that a trace be recorded." => refused;
        });
        Ok(())
    }
}

#[cfg(any(feature = "zipkin", feature = "otlp"))]
impl super::reporter::Exporter {
    /// Adds the counters of the reporter of spans to the figures of its service: `kit_spans_...`.
    ///
    /// # Errors
    /// As [`Metrics::gauge_fn`].
    pub fn observe(&self, metrics: &Metrics) -> Result<(), Error> {
        let read = || {
            let this = self.clone();
            move || this.figures()
        };
        counters!(metrics, read(), {
            "kit_spans_sent_total", "Spans that the collector took." => sent;
            "kit_spans_dropped_total", "Spans that were lost: the queue was full, or the collector did not take them." => dropped;
            "kit_spans_failed_batches_total", "Batches of spans that were given up." => failed_batches;
        });
        let figures = read();
        let help = "Spans that wait for the collector.";
        metrics.gauge_fn("kit_spans_queued", help, &[], move || figures().queued as f64)
    }
}

impl ErrorReports {
    /// Adds the counters of the reports to the figures of their service: `kit_reports_...`.
    ///
    /// # Errors
    /// As [`Metrics::gauge_fn`].
    pub fn observe(&self, metrics: &Metrics) -> Result<(), Error> {
        let read = || {
            let this = self.clone();
            move || this.figures()
        };
        counters!(metrics, read(), {
            "kit_reports_sent_total", "Error reports that the reporter was told." => reported;
            "kit_reports_dropped_total", "Errors that were not reported because the queue was full." => dropped;
            "kit_reports_limited_total", "Errors that were not reported because their method had its share." => limited;
        });
        Ok(())
    }
}

#[cfg(feature = "log")]
impl super::log::Log {
    /// Adds the counters of the log to the figures of a service: `kit_log_...`.
    ///
    /// # Errors
    /// As [`Metrics::gauge_fn`].
    pub fn observe(&self, metrics: &Metrics) -> Result<(), Error> {
        let read = || {
            let this = self.clone();
            move || this.figures()
        };
        counters!(metrics, read(), {
            "kit_log_lines_total", "Lines of the log that were written." => written;
            "kit_log_dropped_total", "Lines of the log that were lost: a queue or a disk was full." => dropped;
            "kit_log_errors_total", "How often the log could not be written." => errors;
        });
        Ok(())
    }
}

impl Tasks {
    /// Adds the counters of background tasks to the figures of their service: `kit_tasks_...`.
    ///
    /// # Errors
    /// As [`Metrics::gauge_fn`].
    pub fn observe(&self, metrics: &Metrics) -> Result<(), Error> {
        let this = self.clone();
        metrics.gauge_fn("kit_tasks_running", "Background tasks that run.", &[], move || this.running() as f64)?;
        let this = self.clone();
        let help = "Background tasks that panicked.";
        metrics.counter_fn("kit_tasks_panicked_total", help, &[], move || {
            this.figures().iter().map(|task| task.panicked).sum::<u64>() as f64
        })
    }
}

#[cfg(feature = "cache")]
impl<M: crate::Message, C: crate::cache::Cache> crate::cache::Cached<M, C> {
    /// Adds the counters of the cache to the figures of its service: `kit_cache_...`, with its name as the label `cache`.
    ///
    /// # Errors
    /// As [`Metrics::gauge_fn`].
    pub fn observe(&self, metrics: &Metrics) -> Result<(), Error> {
        type Read = fn(&crate::cache::CacheFigures) -> u64;
        let series: [(&str, &str, Read); 9] = [
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
        let name = self.name().trim_end_matches(':');
        for (series, help, read) in series {
            let this = self.clone();
            metrics.counter_fn(series, help, &[("cache", name)], move || read(&this.figures()) as f64)?;
        }
        Ok(())
    }
}
