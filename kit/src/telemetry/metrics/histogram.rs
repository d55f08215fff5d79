use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NativeHistogram, NativeHistogramBuckets, NoLabelSet},
    metrics::MetricType,
};

use super::{
    buckets::{Layout, Quantity},
    durations::Durations,
};

/// Counts in cells: two additions an observation, no lock.
#[derive(Debug)]
pub(super) struct Histogram {
    layout: Arc<Layout>,
    cells: Box<[AtomicU64]>,
    // In the unit that is recorded, nanoseconds or bytes: whole numbers add without a loop. 584 years of calls overflow it.
    sum: AtomicU64,
}

impl Histogram {
    pub(super) fn new(layout: &Arc<Layout>) -> Self {
        let cells = (0..layout.cells()).map(|_| AtomicU64::new(0)).collect();
        Self { layout: Arc::clone(layout), cells, sum: AtomicU64::new(0) }
    }

    pub(super) fn record(&self, value: u64) {
        self.sum.fetch_add(value, Ordering::Relaxed);
        if let Some(cell) = self.cells.get(self.layout.cell(value)) {
            // Whoever sees the count sees what came before it: that the call began, and its part of the sum.
            cell.fetch_add(1, Ordering::Release);
        }
    }

    pub(super) fn record_duration(&self, duration: Duration) {
        self.record(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// How many were recorded.
    pub(super) fn count(&self) -> u64 {
        self.cells.iter().map(|cell| cell.load(Ordering::Acquire)).sum()
    }

    pub(super) fn snapshot(&self) -> Snapshot<'_> {
        let cells = self.cells.iter().map(|cell| cell.load(Ordering::Acquire)).collect();
        let sum = self.sum.load(Ordering::Relaxed) as f64 / self.layout.quantity.scale();
        Snapshot { layout: &self.layout, cells, sum }
    }

    pub(super) fn encode(&self, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        self.snapshot().encode(encoder)
    }
}

/// What a histogram held at one time: all numbers come from the same cells, so they agree.
pub(super) struct Snapshot<'a> {
    layout: &'a Layout,
    cells: Vec<u64>,
    sum: f64,
}

impl Snapshot<'_> {
    pub(super) fn count(&self) -> u64 {
        self.cells.iter().sum()
    }

    pub(super) fn exponential(&self) -> Vec<u64> {
        self.layout.exponential(&self.cells)
    }

    fn encode(&self, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        let (classic, count) = (self.layout.classic(&self.cells), self.count());
        let Some(schema) = self.layout.schema else {
            return encoder.encode_histogram::<NoLabelSet>(self.sum, count, &classic, None);
        };
        let (zero_count, spans, deltas) = self.native(schema);
        let (low, _) = self.layout.quantity.octaves();
        let native = NativeHistogram {
            schema: i32::from(schema),
            zero_threshold: f64::from(low).exp2(),
            zero_count,
            negative: NativeHistogramBuckets { spans: &[], deltas: &[] },
            positive: NativeHistogramBuckets { spans: &spans, deltas: &deltas },
            created: None,
        };
        encoder.encode_histogram_with_native::<NoLabelSet>(self.sum, count, &classic, None, native)
    }

    /// The count at zero, and the buckets that are not empty: runs of them (the gap before, the length), and the counts, each
    /// as the difference to the one before.
    fn native(&self, schema: u8) -> (u64, Vec<(i32, u32)>, Vec<i64>) {
        let counts = self.exponential();
        let mut buckets: Vec<(i32, u64)> = Vec::new();
        for (segment, count) in counts.iter().copied().enumerate().skip(1).filter(|(_, count)| *count > 0) {
            let index = self.layout.quantity.native_index(segment, schema);
            match buckets.last_mut() {
                Some((last, sum)) if *last == index => *sum += count,
                _ => buckets.push((index, count)),
            }
        }
        let (mut spans, mut deltas): (Vec<(i32, u32)>, Vec<i64>) = (Vec::new(), Vec::new());
        let (mut next, mut before) = (0, 0);
        for (index, count) in buckets {
            match spans.last_mut() {
                Some((_, length)) if index == next => *length += 1,
                _ => spans.push((index - next, 1)),
            }
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            deltas.push(count - before);
            (next, before) = (index + 1, count);
        }
        (counts.first().copied().unwrap_or_default(), spans, deltas)
    }
}

/// A histogram of times for figures of your own, with the buckets of the service: two atomic additions an observation, no
/// lock, about 2 KB. Clones share it. Made by [`Metrics::durations`](super::Metrics::durations).
#[derive(Clone, Debug)]
pub struct DurationHistogram(Arc<Histogram>);

impl DurationHistogram {
    pub(super) fn new(layout: &Arc<Layout>) -> Self {
        debug_assert_eq!(layout.quantity, Quantity::Duration);
        Self(Arc::new(Histogram::new(layout)))
    }

    /// Counts one.
    pub fn observe(&self, duration: Duration) {
        self.0.record_duration(duration);
    }

    /// What was observed so far.
    pub fn read(&self) -> Durations {
        let mut durations = Durations::default();
        durations.add(&self.0.snapshot());
        durations
    }
}

impl EncodeMetric for DurationHistogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        self.0.encode(&mut encoder)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::telemetry::metrics::MetricsConfig;

    fn histogram(schema: u8) -> Histogram {
        Histogram::new(&Arc::new(Layout::new(Quantity::Duration, &MetricsConfig::default().buckets, Some(schema))))
    }

    /// The native buckets, spread out again: index and count.
    fn spread(spans: &[(i32, u32)], deltas: &[i64]) -> Vec<(i32, i64)> {
        let (mut index, mut count, mut deltas) = (0, 0, deltas.iter());
        let mut buckets = Vec::new();
        for (gap, length) in spans {
            index += gap;
            for _ in 0..*length {
                count += deltas.next().unwrap();
                buckets.push((index, count));
                index += 1;
            }
        }
        assert_eq!(deltas.next(), None);
        buckets
    }

    #[test]
    fn an_empty_histogram_has_no_native_buckets() {
        let histogram = histogram(3);
        assert_eq!(histogram.snapshot().native(3), (0, vec![], vec![]));
        assert_eq!(histogram.snapshot().count(), 0);
    }

    #[test]
    fn no_observation_of_any_thread_is_lost() {
        const EACH: u64 = 20_000;
        let histogram = histogram(3);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let histogram = &histogram;
                scope.spawn(move || (0..EACH).for_each(|i| histogram.record(i * 1000 + thread)));
            }
        });
        let snapshot = histogram.snapshot();
        assert_eq!(snapshot.count(), 4 * EACH);
        let sum: u64 = (0..4).flat_map(|thread| (0..EACH).map(move |i| i * 1000 + thread)).sum();
        assert_eq!(snapshot.sum, sum as f64 / 1e9);
    }

    proptest! {
        #[test]
        fn native_buckets_hold_each_value_in_its_place(
            values in prop::collection::vec(0..4_000_000_000_000u64, 1..200),
            schema in 0..=3u8,
        ) {
            let histogram = histogram(schema);
            values.iter().for_each(|value| histogram.record(*value));
            let (zero, spans, deltas) = histogram.snapshot().native(schema);
            let mut expected = std::collections::BTreeMap::<i32, i64>::new();
            let seconds = || values.iter().map(|value| *value as f64 / 1e9);
            for value in seconds().filter(|value| *value > (-20f64).exp2()) {
                // What overflows is in the next bucket.
                let value = if value > 1024.0 { 1025.0 } else { value };
                let index = (value.log2() * f64::from(1 << schema)).ceil() as i32;
                *expected.entry(index).or_default() += 1;
            }
            prop_assert_eq!(zero, seconds().filter(|value| *value <= (-20f64).exp2()).count() as u64);
            prop_assert_eq!(spread(&spans, &deltas), expected.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn counts_and_sum_are_those_of_the_values(values in prop::collection::vec(0..u64::MAX / 1000, 0..200)) {
            let histogram = histogram(3);
            values.iter().for_each(|value| histogram.record(*value));
            let snapshot = histogram.snapshot();
            prop_assert_eq!(snapshot.count(), values.len() as u64);
            prop_assert_eq!(snapshot.layout.classic(&snapshot.cells).iter().map(|(_, count)| count).sum::<u64>(), values.len() as u64);
            prop_assert_eq!(snapshot.exponential().iter().sum::<u64>(), values.len() as u64);
            prop_assert_eq!(snapshot.sum, values.iter().sum::<u64>() as f64 / 1e9);
        }
    }
}
