use super::{buckets::Quantity, histogram::Snapshot};

/// How many calls took how long: counts in buckets that are 9 % wide, from 1 µs to 1024 s.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    counts: Vec<u64>,
}

impl Durations {
    pub(super) fn add(&mut self, snapshot: &Snapshot<'_>) {
        let more = snapshot.exponential();
        if self.counts.is_empty() {
            self.counts = more;
            return;
        }
        self.counts.iter_mut().zip(more).for_each(|(count, more)| *count += more);
    }

    /// What came since an earlier reading.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let earlier = earlier.counts.iter().copied().chain(std::iter::repeat(0));
        Self { counts: self.counts.iter().zip(earlier).map(|(now, before)| now.saturating_sub(before)).collect() }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The time in seconds that a share of the calls, 0.0 to 1.0, did not exceed; `None` when there are none. It is wrong by
    /// less than the width of a bucket, 9 %; what took longer than 1024 s counts as that.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let total = self.count();
        if total == 0 {
            return None;
        }
        // The rank of the call that is asked for, from 1 to the number of calls; not a number is the first.
        let rank = (share * total as f64).clamp(1.0, total as f64);
        let rank = if rank.is_nan() { 1.0 } else { rank };
        let (mut below, quantity) = (0.0, Quantity::Duration);
        for (segment, count) in self.counts.iter().map(|count| *count as f64).enumerate() {
            if below + count < rank {
                below += count;
                continue;
            }
            let inside = (rank - below) / count;
            let upper = quantity.upper(segment);
            return Some(match segment.checked_sub(1).map(|before| quantity.upper(before)) {
                // Within a bucket values are spread as buckets are: by a constant factor. At zero they are not.
                Some(lower) if upper.is_finite() => lower * (upper / lower).powf(inside),
                Some(lower) => lower,
                None => upper * inside,
            });
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use proptest::prelude::*;

    use super::*;
    use crate::telemetry::metrics::{DurationHistogram, buckets::Layout};

    fn of(nanoseconds: &[u64]) -> Durations {
        let histogram = DurationHistogram::new(&Arc::new(Layout::new(Quantity::Duration, &[0.1, 3.0], None)));
        nanoseconds.iter().for_each(|value| histogram.observe(Duration::from_nanos(*value)));
        histogram.read()
    }

    #[test]
    fn nothing_has_no_quantile() {
        assert_eq!(Durations::default().quantile(0.5), None);
        assert_eq!(of(&[]).quantile(0.5), None);
        let some = of(&[5]);
        assert_eq!(some.since(&some).quantile(0.5), None);
    }

    #[test]
    fn what_is_no_share_is_the_first_or_the_last() {
        let some = of(&[1_000_000, 9_000_000]);
        assert_eq!(some.quantile(-1.0), some.quantile(0.0));
        assert_eq!(some.quantile(f64::NAN), some.quantile(0.0));
        assert_eq!(some.quantile(7.0), some.quantile(1.0));
        assert!(some.quantile(0.0) < some.quantile(1.0));
    }

    #[test]
    fn a_difference_is_what_came_in_between() {
        let (before, after) = (of(&[1_000_000; 9]), of(&[&[1_000_000; 9][..], &[2_000_000_000]].concat()));
        assert_eq!(after.since(&before), of(&[2_000_000_000]));
        assert_eq!(after.since(&Durations::default()), after);
        assert_eq!(of(&[5_000_000_000_000]).quantile(0.5), Some(1024.0));
    }

    proptest! {
        #[test]
        fn a_quantile_is_wrong_by_less_than_a_bucket(
            mut values in prop::collection::vec(1_000..1_000_000_000_000u64, 1..300),
            share in 0.0..=1.0f64,
        ) {
            let found = of(&values).quantile(share).unwrap();
            values.sort_unstable();
            let rank = (share * values.len() as f64).ceil().max(1.0) as usize;
            let exact = values[rank - 1] as f64 / 1e9;
            let factor = found / exact;
            prop_assert!((1.0 / 1.0906..=1.0906).contains(&factor), "{found} {exact}");
        }
    }
}
