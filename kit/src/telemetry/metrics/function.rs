//! Figures that are asked for when somebody looks.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

use super::name;
use crate::Error;

/// The most series of this kind: enough for dozens of layers on hundreds of methods, and an end for a mistake.
const MAX_SERIES: usize = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Gauge,
    Counter,
}

type Read = Arc<dyn Fn() -> f64 + Send + Sync>;

#[derive(Clone)]
struct Series {
    labels: Vec<(String, String)>,
    read: Read,
}

#[derive(Clone)]
struct Family {
    name: String,
    help: String,
    kind: Kind,
    series: Vec<Series>,
}

/// All figures that are functions.
#[derive(Default)]
pub(super) struct Functions(RwLock<Arc<Vec<Family>>>);

impl Functions {
    pub(super) fn add(
        &self,
        kind: Kind,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
        read: Read,
    ) -> Result<(), Error> {
        let refuse = |why: String| Err(Error::invalid_argument(format!("the metric {name:?} {why}")));
        // A counter's name ends with `_total` in every format, so it is written by whoever writes the format.
        let base = match kind {
            Kind::Counter => name.strip_suffix("_total").unwrap_or(name),
            Kind::Gauge => name,
        };
        if !name::is_metric(base) {
            return refuse("has a name that Prometheus can't read: use letters, digits and _".to_owned());
        }
        if let Some((label, _)) = labels.iter().find(|(label, _)| !name::is_label(label)) {
            return refuse(format!("has the label {label:?}: use letters, digits and _, and none that starts with __"));
        }
        let mut labels: Vec<_> = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        labels.sort();
        if let Some(((label, _), _)) = labels.iter().zip(labels.iter().skip(1)).find(|((a, _), (b, _))| a == b) {
            return refuse(format!("has the label {label:?} twice"));
        }
        let mut families = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let families = Arc::make_mut(&mut families);
        let count: usize = families.iter().map(|family| family.series.len()).sum();
        let family = match families.iter_mut().position(|family| family.name == base) {
            Some(at) => families.get_mut(at),
            None if count >= MAX_SERIES => None,
            None => {
                families.push(Family { name: base.to_owned(), help: help.to_owned(), kind, series: Vec::new() });
                families.last_mut()
            }
        };
        match family {
            Some(family) if family.kind != kind => refuse("is there already, of another type".to_owned()),
            Some(family) => {
                if let Some(series) = family.series.iter_mut().find(|series| series.labels == labels) {
                    series.read = read;
                    return Ok(());
                }
                if count >= MAX_SERIES {
                    return refuse(too_many());
                }
                family.series.push(Series { labels, read });
                Ok(())
            }
            None => refuse(too_many()),
        }
    }

    pub(super) fn encode(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        // The functions are called without the lock: one may take its time, or register another.
        let families = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        for family in families.iter() {
            let kind = match family.kind {
                Kind::Gauge => MetricType::Gauge,
                Kind::Counter => MetricType::Counter,
            };
            let mut encoder = to.encode_descriptor(&family.name, &family.help, None, kind)?;
            for series in &family.series {
                let (value, encoder) = ((series.read)(), encoder.encode_family(&series.labels)?);
                match family.kind {
                    Kind::Gauge => ConstGauge::new(value).encode(encoder)?,
                    Kind::Counter => ConstCounter::new(value).encode(encoder)?,
                }
            }
        }
        Ok(())
    }
}

fn too_many() -> String {
    format!("is too much: there are {MAX_SERIES} series of functions already")
}

impl fmt::Debug for Functions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Functions").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use crate::telemetry::metrics::{Format, Metrics};

    fn text(metrics: &Metrics) -> String {
        String::from_utf8(metrics.encode(Format::Text).unwrap()).unwrap()
    }

    #[test]
    fn functions_are_asked_at_every_reading() {
        let metrics = Metrics::new();
        let reads = std::sync::atomic::AtomicU32::new(0);
        let next = move || f64::from(reads.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        metrics.counter_fn("jobs_total", "Jobs.", &[("queue", "a")], next).unwrap();
        metrics.counter_fn("jobs_total", "Jobs.", &[("queue", "b")], || 7.0).unwrap();
        for reading in 0..2 {
            let expected = format!(
                "# HELP jobs_total Jobs.\n# TYPE jobs_total counter\njobs_total{{queue=\"a\"}} {reading}\njobs_total{{queue=\"b\"}} 7\n"
            );
            assert_eq!(text(&metrics), expected);
        }
    }

    #[test]
    fn the_same_series_is_replaced() {
        let metrics = Metrics::new();
        metrics.gauge_fn("open", "Open.", &[("a", "1"), ("b", "2")], || 1.0).unwrap();
        metrics.gauge_fn("open", "Open.", &[("b", "2"), ("a", "1")], || 2.0).unwrap();
        assert!(text(&metrics).ends_with("open{a=\"1\",b=\"2\"} 2\n"), "{}", text(&metrics));
    }

    #[test]
    fn a_function_may_register_another() {
        let metrics = Metrics::new();
        let inner = metrics.clone();
        let read = move || {
            inner.gauge_fn("later", "", &[], || 1.0).unwrap();
            inner.register(|_| {});
            0.0
        };
        metrics.gauge_fn("first", "", &[], read).unwrap();
        assert!(!text(&metrics).contains("later"));
        assert!(text(&metrics).contains("later 1\n"));
    }

    #[test]
    fn what_prometheus_could_not_read_is_refused() {
        let metrics = Metrics::new();
        metrics.gauge_fn("there", "", &[], || 0.0).unwrap();
        let refused = [
            metrics.gauge_fn("", "", &[], || 0.0),
            metrics.gauge_fn("9lives", "", &[], || 0.0),
            metrics.gauge_fn("with-dash", "", &[], || 0.0),
            metrics.gauge_fn("line\nbreak 1", "", &[], || 0.0),
            metrics.counter_fn("_total", "", &[], || 0.0),
            metrics.gauge_fn("a", "", &[("", "")], || 0.0),
            metrics.gauge_fn("a", "", &[("__name__", "")], || 0.0),
            metrics.gauge_fn("a", "", &[("x", "1"), ("x", "2")], || 0.0),
            metrics.counter_fn("there", "", &[], || 0.0),
        ];
        for refused in refused {
            assert_eq!(refused.unwrap_err().code(), crate::Code::InvalidArgument);
        }
        assert_eq!(text(&metrics), "# TYPE there gauge\nthere 0\n");
    }

    #[test]
    fn the_number_of_series_has_an_end() {
        let metrics = Metrics::new();
        let add = |i: usize| metrics.gauge_fn("many", "", &[("i", &i.to_string())], || 0.0);
        // One lookup among all is slow here; families of their own make it quick to fill.
        for i in 0..super::MAX_SERIES {
            metrics.gauge_fn(&format!("many_{}", i % 100), "", &[("i", &i.to_string())], || 0.0).unwrap();
        }
        assert!(add(0).unwrap_err().message().contains("10000 series"));
        // What is there can still be replaced.
        metrics.gauge_fn("many_1", "", &[("i", "1")], || 1.0).unwrap();
    }
}
