//! The two text formats. They are one, but for the names of counters, the units, the exemplars and the end.

use std::fmt::{self, Write as _};

use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::{
    Exemplar, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

use super::Format;

/// Writes families in the text format, or in OpenMetrics.
pub(super) fn write<'a>(families: impl Iterator<Item = &'a MetricFamily>, format: Format) -> String {
    let mut to = Writer { text: String::new(), open: format == Format::OpenMetrics };
    for family in families {
        to.family(family);
    }
    if to.open {
        to.text.push_str("# EOF\n");
    }
    to.text
}

struct Writer {
    text: String,
    open: bool,
}

impl Writer {
    fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = self.text.write_fmt(line);
    }

    fn family(&mut self, family: &MetricFamily) {
        let kind = MetricType::try_from(family.r#type).unwrap_or(MetricType::Untyped);
        let name = family.name.as_str();
        // To OpenMetrics the family of a counter has no suffix, its samples have.
        let base = match name.strip_suffix("_total") {
            Some(base) if self.open && kind == MetricType::Counter => base,
            _ => name,
        };
        let quotes = self.open;
        if !family.help.is_empty() {
            self.line(format_args!("# HELP {base} {}\n", Escaped { text: &family.help, quotes }));
        }
        let type_name = match kind {
            MetricType::Counter => "counter",
            MetricType::Gauge => "gauge",
            MetricType::Histogram | MetricType::GaugeHistogram => "histogram",
            MetricType::Summary => "summary",
            MetricType::Untyped if self.open => "unknown",
            MetricType::Untyped => "untyped",
        };
        self.line(format_args!("# TYPE {base} {type_name}\n"));
        if self.open && !family.unit.is_empty() && base.ends_with(&family.unit) {
            self.line(format_args!("# UNIT {base} {}\n", family.unit));
        }
        for metric in &family.metric {
            self.metric(name, metric);
        }
    }

    fn metric(&mut self, name: &str, metric: &Metric) {
        let labels = metric.label.as_slice();
        if let Some(counter) = &metric.counter {
            self.sample(name, "", labels, None, counter.value, counter.exemplar.as_ref());
        }
        if let Some(gauge) = &metric.gauge {
            self.sample(name, "", labels, None, gauge.value, None);
        }
        if let Some(untyped) = &metric.untyped {
            self.sample(name, "", labels, None, untyped.value, None);
        }
        if let Some(histogram) = &metric.histogram {
            self.histogram(name, labels, histogram);
        }
    }

    fn histogram(&mut self, name: &str, labels: &[LabelPair], histogram: &Histogram) {
        let count = histogram.sample_count as f64;
        for bucket in &histogram.bucket {
            let below = bucket.cumulative_count as f64;
            self.sample(name, "_bucket", labels, Some(bucket.upper_bound), below, bucket.exemplar.as_ref());
        }
        // A histogram may have no buckets but native ones, and these formats need the last.
        if histogram.bucket.last().is_none_or(|last| last.upper_bound != f64::INFINITY) {
            self.sample(name, "_bucket", labels, Some(f64::INFINITY), count, None);
        }
        self.sample(name, "_sum", labels, None, histogram.sample_sum, None);
        self.sample(name, "_count", labels, None, count, None);
    }

    fn sample(
        &mut self,
        name: &str,
        suffix: &str,
        labels: &[LabelPair],
        bound: Option<f64>,
        value: f64,
        exemplar: Option<&Exemplar>,
    ) {
        self.text.push_str(name);
        self.text.push_str(suffix);
        if !labels.is_empty() || bound.is_some() {
            self.labels(labels, bound);
        }
        self.line(format_args!(" {}", Number(value)));
        if let (true, Some(exemplar)) = (self.open, exemplar) {
            self.text.push_str(" # ");
            self.labels(&exemplar.label, None);
            self.line(format_args!(" {}", Number(exemplar.value)));
            if let Some(at) = &exemplar.timestamp {
                self.line(format_args!(" {}.{:03}", at.seconds, at.nanos / 1_000_000));
            }
        }
        self.text.push('\n');
    }

    fn labels(&mut self, labels: &[LabelPair], bound: Option<f64>) {
        let mut before = '{';
        for label in labels {
            self.line(format_args!("{before}{}=\"{}\"", label.name, Escaped { text: &label.value, quotes: true }));
            before = ',';
        }
        match bound {
            Some(bound) => self.line(format_args!("{before}le=\"{}\"}}", Bound(bound))),
            None if labels.is_empty() => self.text.push_str("{}"),
            None => self.text.push('}'),
        }
    }
}

/// A text with backslashes and line breaks escaped, and quotes where they end it.
struct Escaped<'a> {
    text: &'a str,
    quotes: bool,
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nearly always there is none, which is known faster one by one.
        let has = |c: char| self.text.contains(c);
        if !(has('\\') || has('\n') || (self.quotes && has('"'))) {
            return f.write_str(self.text);
        }
        let mut rest = self.text;
        while let Some(at) = rest.find(|c| c == '\\' || c == '\n' || (c == '"' && self.quotes)) {
            let (plain, special) = rest.split_at(at);
            f.write_str(plain)?;
            let mut special = special.chars();
            f.write_str(match special.next() {
                Some('\\') => "\\\\",
                Some('\n') => "\\n",
                _ => "\\\"",
            })?;
            rest = special.as_str();
        }
        f.write_str(rest)
    }
}

/// A number as Go reads it.
struct Number(f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            f64::INFINITY => f.write_str("+Inf"),
            f64::NEG_INFINITY => f.write_str("-Inf"),
            number if number.is_nan() => f.write_str("NaN"),
            number => write!(f, "{number}"),
        }
    }
}

/// The bound of a bucket is text, compared as such: in every format as OpenMetrics has it, always with a point.
struct Bound(f64);

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_finite() { write!(f, "{:?}", self.0) } else { Number(self.0).fmt(f) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::telemetry::metrics::Metrics;

    fn both(metrics: &Metrics) -> [String; 2] {
        [Format::Text, Format::OpenMetrics].map(|format| String::from_utf8(metrics.encode(format).unwrap()).unwrap())
    }

    #[test]
    fn every_kind_of_metric_in_both_formats() {
        use prometheus_client::{
            metrics::{
                counter::Counter, exemplar::CounterWithExemplar, gauge::Gauge, histogram::Histogram, info::Info,
            },
            registry::Unit,
        };
        let metrics = Metrics::new();
        metrics.register(|registry| {
            let counter = Counter::<u64>::default();
            counter.inc_by(3);
            registry.register_with_unit("read", "Read", Unit::Bytes, counter);
            let traced = CounterWithExemplar::<Vec<(String, String)>>::default();
            traced.inc_by(1, Some(vec![("trace_id".to_owned(), "a\"b".to_owned())]), None);
            registry.register("traced", "Traced", traced);
            let gauge = Gauge::<f64, std::sync::atomic::AtomicU64>::default();
            gauge.set(f64::NEG_INFINITY);
            registry.register("cold", "Two\nlines, a \\ and a \"", gauge);
            let histogram = Histogram::new([0.5, 2.0]);
            histogram.observe(1.0);
            registry.register("wait", "", histogram);
            registry.register("build", "Build", Info::new(vec![("version", "1")]));
        });
        let [text, open] = both(&metrics);
        assert_eq!(
            text,
            r##"# HELP build_info Build.
# TYPE build_info gauge
build_info{version="1"} 1
# HELP cold Two\nlines, a \\ and a ".
# TYPE cold gauge
cold -Inf
# HELP read_bytes_total Read.
# TYPE read_bytes_total counter
read_bytes_total 3
# HELP traced_total Traced.
# TYPE traced_total counter
traced_total 1
# HELP wait .
# TYPE wait histogram
wait_bucket{le="0.5"} 0
wait_bucket{le="2.0"} 1
wait_bucket{le="+Inf"} 1
wait_sum 1
wait_count 1
"##
        );
        assert_eq!(
            open,
            r##"# HELP build_info Build.
# TYPE build_info gauge
build_info{version="1"} 1
# HELP cold Two\nlines, a \\ and a \".
# TYPE cold gauge
cold -Inf
# HELP read_bytes Read.
# TYPE read_bytes counter
# UNIT read_bytes bytes
read_bytes_total 3
# HELP traced Traced.
# TYPE traced counter
traced_total 1 # {trace_id="a\"b"} 1
# HELP wait .
# TYPE wait histogram
wait_bucket{le="0.5"} 0
wait_bucket{le="2.0"} 1
wait_bucket{le="+Inf"} 1
wait_sum 1
wait_count 1
# EOF
"##
        );
    }

    #[test]
    fn one_name_is_one_family_and_what_can_not_be_read_is_left_out() {
        use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
        let metrics = Metrics::new();
        metrics.gauge_fn("shared", "First.", &[("part", "a")], || 1.0).unwrap();
        metrics.register(|registry| {
            let labels = || [("part".into(), "b".into())].into_iter();
            registry.sub_registry_with_labels(labels()).register("shared", "Second", Gauge::<i64>::default());
            registry.register("not a name", "", Gauge::<i64>::default());
            // By the time it is read it is `shared_total`, and by its name a gauge.
            registry.register("shared_total", "", Gauge::<i64>::default());
            registry.register("shared", "", Counter::<u64>::default());
        });
        let [text, _] = both(&metrics);
        assert_eq!(
            text,
            "# HELP shared First.\n# TYPE shared gauge\nshared{part=\"a\"} 1\nshared{part=\"b\"} 0\n\
             # HELP shared_total .\n# TYPE shared_total gauge\nshared_total 0\n"
        );
    }

    proptest! {
        #[test]
        fn a_label_comes_back_from_its_escaped_form(value in "[a-z\\\\\n\"{},=# é]*") {
            let metrics = Metrics::new();
            metrics.gauge_fn("x", "", &[("label", &value)], || 1.0).unwrap();
            for text in both(&metrics) {
                let line = text.lines().find(|line| !line.starts_with('#')).unwrap();
                let written = line.strip_prefix("x{label=\"").unwrap().strip_suffix("\"} 1").unwrap();
                let (mut read, mut chars) = (String::new(), written.chars());
                while let Some(c) = chars.next() {
                    read.push(match c {
                        '\\' => match chars.next().unwrap() {
                            'n' => '\n',
                            other => other,
                        },
                        c => c,
                    });
                    prop_assert_ne!(c, '"');
                }
                prop_assert_eq!(&read, &value);
            }
        }

        #[test]
        fn numbers_are_read_back(number in any::<f64>()) {
            let read: f64 = Number(number).to_string().parse().unwrap();
            prop_assert!(read == number || (read.is_nan() && number.is_nan()));
        }
    }
}
