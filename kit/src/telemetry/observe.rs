//! What the parts of telemetry that are no layers tell of themselves: their counters become series of a service's figures.
//!
//! A series lives as long as the figures, so it has the counters alone: a log, a reporter or an exporter ends when its owner
//! drops it.

use super::{metrics::Metrics, report::ErrorReports};
use crate::Error;

/// Adds counters of one kind of figures: name, help, and how each is read of what `read` gives.
macro_rules! counters {
    ($metrics:expr, $read:expr, { $($name:literal, $help:literal => $field:ident;)* }) => {
        $({
            let read = $read.clone();
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
        let read = self.reader();
        counters!(metrics, read, {
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
        let read = self.reader();
        counters!(metrics, read, {
            "kit_spans_sent_total", "Spans that the collector took." => sent;
            "kit_spans_dropped_total", "Spans that were lost: the queue was full, or the collector did not take them." => dropped;
            "kit_spans_failed_batches_total", "Batches of spans that were given up." => failed_batches;
        });
        let help = "Spans that wait for the collector.";
        metrics.gauge_fn("kit_spans_queued", help, &[], move || read().queued as f64)
    }
}

impl ErrorReports {
    /// Adds the counters of the reports to the figures of their service: `kit_reports_...`.
    ///
    /// # Errors
    /// As [`Metrics::gauge_fn`].
    pub fn observe(&self, metrics: &Metrics) -> Result<(), Error> {
        let read = self.reader();
        counters!(metrics, read, {
            "kit_reports_handed_total", "Error reports that were handed to the reporter, which may have lost them." => reported;
            "kit_reports_dropped_total", "Errors that were not reported because the queue was full." => dropped;
            "kit_reports_limited_total", "Errors that were not reported because their method had its share." => limited;
            "kit_reports_panicked_total", "Error reports in which the reporter panicked." => panicked;
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
        let read = self.reader();
        counters!(metrics, read, {
            "kit_log_lines_total", "Lines of the log that were written." => written;
            "kit_log_dropped_total", "Lines of the log that were lost: a queue or a disk was full." => dropped;
            "kit_log_errors_total", "How often the log could not be written." => errors;
        });
        Ok(())
    }
}

#[cfg(all(test, feature = "log", feature = "trace"))]
mod tests {
    use std::sync::{Arc, Weak};

    use super::*;
    use crate::{
        telemetry::{
            log::LogConfig,
            metrics::Format,
            report::{ErrorReport, ErrorReporter, ReportConfig},
        },
        trace::{Export, FinishedSpan, TraceConfig, Tracer},
    };

    /// Something that a figure must not keep.
    struct Owned(#[expect(dead_code, reason = "it is only held")] Arc<()>);

    impl ErrorReporter for Owned {
        fn report(&self, _: ErrorReport) {}
    }

    impl Export for Owned {
        fn export(&self, _: FinishedSpan) {}
    }

    fn owned() -> (Owned, Weak<()>) {
        let held = Arc::new(());
        let seen = Arc::downgrade(&held);
        (Owned(held), seen)
    }

    #[tokio::test]
    async fn figures_that_are_shown_keep_nothing_but_counters() {
        let metrics = Metrics::new();
        let (export, exporter) = owned();
        let tracer = Tracer::builder(&TraceConfig::default(), "test").export(Some(export)).build();
        tracer.observe(&metrics).unwrap();
        drop(tracer);
        assert_eq!(exporter.strong_count(), 0);

        let reports = ErrorReports::start(&ReportConfig::default(), Owned(Arc::new(()))).unwrap();
        let ended = reports.ended();
        reports.observe(&metrics).unwrap();
        drop(reports);
        ended.await;

        let (layer, log) = LogConfig::default().start::<tracing_subscriber::Registry>().unwrap();
        log.observe(&metrics).unwrap();
        let threads = log.threads();
        drop((layer, log));
        assert_eq!(threads.strong_count(), 0);

        let text = String::from_utf8(metrics.encode(Format::Text).unwrap()).unwrap();
        for name in [
            "kit_trace_spans_recorded_total",
            "kit_reports_handed_total",
            "kit_reports_panicked_total",
            "kit_log_lines_total",
        ] {
            assert!(text.contains(&format!("\n{name} 0\n")), "{text}");
        }
    }
}
