//! Where the borders of buckets are.
//!
//! One row of cells serves both kinds of histograms: its borders are those of the exponential buckets and those that are
//! configured. So an observation counts in one cell, and every sum over cells is exact in both.

/// The exponential buckets are those of the native histograms of Prometheus with this schema: eight to a power of two.
pub(super) const MAX_SCHEMA: u8 = 3;
const PER_OCTAVE: i32 = 1 << MAX_SCHEMA;

/// 2^(i/8), the parts of an octave, to the nearest `f64`: as Prometheus has them.
const PARTS: [f64; PER_OCTAVE as usize] = [
    1.0,
    1.0905077326652577,
    1.189207115002721,
    1.2968395546510096,
    std::f64::consts::SQRT_2,
    1.5422108254079407,
    1.681792830507429,
    1.8340080864093424,
];

/// What is measured: it decides about the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantity {
    /// Seconds, recorded in nanoseconds; buckets from 1 µs to 1024 s.
    Duration,
    /// Bytes; buckets up to 4 GiB.
    Size,
}

impl Quantity {
    /// Values up to two to the power of the first are in the zero bucket, those above that of the second overflow.
    pub(super) const fn octaves(self) -> (i32, i32) {
        match self {
            Self::Duration => (-20, 10),
            Self::Size => (-1, 32),
        }
    }

    /// How many of what is recorded are one unit.
    pub(super) const fn scale(self) -> f64 {
        match self {
            Self::Duration => 1e9,
            Self::Size => 1.0,
        }
    }

    /// The largest value that is not above a border, in the unit that is recorded.
    fn largest(self, border: f64) -> u64 {
        let scaled = border * self.scale();
        // Beyond this whole numbers are not exact, and no border matters to the last one.
        if scaled >= 9e15 {
            return if scaled.is_finite() { scaled as u64 } else { u64::MAX };
        }
        let is_above = |value: u64| value as f64 / self.scale() > border;
        let near = scaled as u64 + 1;
        // What was rounded in the product is less than one.
        [near, near.saturating_sub(1)].into_iter().find(|value| !is_above(*value)).unwrap_or(near.saturating_sub(2))
    }

    const fn exponential(self) -> usize {
        let (low, high) = self.octaves();
        (high - low).unsigned_abs() as usize * PARTS.len()
    }

    /// The zero bucket, the exponential ones, the overflow.
    pub(super) const fn segments(self) -> usize {
        self.exponential() + 2
    }

    /// The upper border of a segment.
    pub(super) fn upper(self, segment: usize) -> f64 {
        let (low, _) = self.octaves();
        match i32::try_from(segment) {
            Ok(segment) if (segment as usize) < self.segments() - 1 => {
                let part = PARTS.get((segment % PER_OCTAVE) as usize).copied().unwrap_or(1.0);
                part * power(low + segment / PER_OCTAVE)
            }
            _ => f64::INFINITY,
        }
    }

    /// The index that Prometheus gives to a segment in a schema: bucket `i` ends at 2^(i / 2^schema). What overflows is put
    /// into the next bucket, because Prometheus has no end.
    pub(super) fn native_index(self, segment: usize, schema: u8) -> i32 {
        let (low, _) = self.octaves();
        let index = low * PER_OCTAVE + i32::try_from(segment).unwrap_or(i32::MAX);
        // A coarser schema joins neighbours, the upper border being that of the last.
        ((index - 1) >> (MAX_SCHEMA - schema.min(MAX_SCHEMA))) + 1
    }
}

/// Two to the power of a whole number, for the numbers that are used here.
fn power(exponent: i32) -> f64 {
    f64::from_bits(u64::try_from(exponent + 1023).unwrap_or_default() << 52)
}

/// The cells of all histograms of one kind in a service.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) quantity: Quantity,
    /// The schema of native histograms; `None` when they are off.
    pub(super) schema: Option<u8>,
    /// The largest value of each cell, as it is recorded: whole numbers are found faster than borders in seconds.
    largest: Box<[u64]>,
    /// Where to look for the cell of a value: the cell of the smallest value that has the same key.
    first: Box<[u16]>,
    /// The first cell of each segment, and the number of cells.
    starts: Box<[u16]>,
    /// The configured bounds, each with the number of cells up to it.
    classic: Box<[(f64, u16)]>,
}

impl Layout {
    /// `bounds` are ascending, positive and finite, and few.
    pub(super) fn new(quantity: Quantity, bounds: &[f64], schema: Option<u8>) -> Self {
        let (mut uppers, mut starts) = (Vec::new(), Vec::new());
        let mut bounds_left = bounds.iter().copied().peekable();
        for segment in 0..quantity.segments() {
            starts.push(index(uppers.len()));
            let upper = quantity.upper(segment);
            while let Some(bound) = bounds_left.next_if(|bound| *bound < upper) {
                uppers.push(bound);
            }
            let _ = bounds_left.next_if_eq(&upper);
            uppers.push(upper);
        }
        starts.push(index(uppers.len()));
        let up_to = |bound: f64| index(uppers.partition_point(|upper| *upper <= bound));
        let classic = bounds.iter().map(|bound| (*bound, up_to(*bound))).collect();
        let largest: Box<[u64]> = uppers.iter().map(|upper| quantity.largest(*upper)).collect();
        let cell_of = |value: u64| index(largest.partition_point(|largest| *largest < value));
        let first = (0..KEYS).map(|key| cell_of(smallest(key))).collect();
        Self { quantity, schema, largest, first, starts: starts.into(), classic }
    }

    pub(super) fn cells(&self) -> usize {
        self.largest.len()
    }

    /// In which cell a value is counted, in the unit that is recorded.
    pub(super) fn cell(&self, value: u64) -> usize {
        let first = self.first.get(key(value)).copied().map_or(0, usize::from);
        let further = self.largest.get(first..).unwrap_or_default();
        first + further.iter().take_while(|largest| value > **largest).count()
    }

    /// The cells of a segment.
    fn range(&self, segment: usize) -> std::ops::Range<usize> {
        let at = |segment| self.starts.get(segment).copied().map_or(0, usize::from);
        at(segment)..at(segment + 1)
    }

    /// The counts of the configured buckets, each without those below it, and the bound of each; the last is infinite.
    pub(super) fn classic(&self, cells: &[u64]) -> Vec<(f64, u64)> {
        let end = (f64::INFINITY, index(cells.len()));
        let mut from = 0;
        let mut buckets = Vec::with_capacity(self.classic.len() + 1);
        for (bound, to) in self.classic.iter().copied().chain([end]) {
            let to = usize::from(to);
            buckets.push((bound, cells.get(from..to).unwrap_or_default().iter().sum()));
            from = to;
        }
        buckets
    }

    /// The counts of the segments.
    pub(super) fn exponential(&self, cells: &[u64]) -> Vec<u64> {
        let of = |segment| cells.get(self.range(segment)).unwrap_or_default().iter().sum();
        (0..self.quantity.segments()).map(of).collect()
    }
}

/// Values with the same three bits behind their highest have the same key: they are within an eighth of each other, so that there
/// are few cells between the first and the last of them.
fn key(value: u64) -> usize {
    let Some(behind) = value.checked_ilog2().and_then(|highest| highest.checked_sub(3)) else {
        // Below eight each has its own.
        return usize::try_from(value).unwrap_or_default();
    };
    let bits = usize::try_from(value >> behind).unwrap_or_default() % 8;
    (behind as usize + 1) * 8 + bits
}

/// The keys of all values, those of 61 highest bits and below.
const KEYS: usize = 62 * 8;

/// The smallest value that has a key.
fn smallest(key: usize) -> u64 {
    let bits = (key % 8) as u64;
    match (key / 8).checked_sub(1) {
        Some(behind) => (bits + 8) << behind,
        None => bits,
    }
}

fn index(position: usize) -> u16 {
    // 266 segments and 50 bounds at most.
    u16::try_from(position).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOTH: [Quantity; 2] = [Quantity::Duration, Quantity::Size];

    #[test]
    fn borders_are_powers_of_two_and_their_eighths() {
        for (i, part) in PARTS.iter().enumerate() {
            let exact = (i as f64 / 8.0).exp2();
            assert!((part - exact).abs() <= f64::EPSILON, "{i}");
        }
        for quantity in BOTH {
            let (low, high) = quantity.octaves();
            assert_eq!(quantity.upper(0), f64::from(low).exp2());
            assert_eq!(quantity.upper(8), f64::from(low + 1).exp2());
            assert_eq!(quantity.upper(quantity.segments() - 2), f64::from(high).exp2());
            assert_eq!(quantity.upper(quantity.segments() - 1), f64::INFINITY);
            assert_eq!(quantity.native_index(8, 3), low * 8 + 8);
            assert_eq!(quantity.native_index(8, 0), low + 1);
            assert_eq!(quantity.native_index(9, 0), low + 2);
        }
    }

    #[test]
    fn every_value_has_a_key_and_the_smallest_of_a_key_has_it() {
        for key_of in 0..KEYS {
            assert_eq!(key(smallest(key_of)), key_of);
            assert!(key_of == 0 || key(smallest(key_of) - 1) == key_of - 1);
        }
        assert_eq!(key(u64::MAX), KEYS - 1);
    }

    #[test]
    fn a_border_belongs_to_the_bucket_that_it_ends() {
        // Decimal fractions have no exact `f64`, and are still meant.
        for (border, nanoseconds) in [(0.005, 5_000_000), (0.29, 290_000_000), (1.1, 1_100_000_000), (1e-9, 1)] {
            let layout = Layout::new(Quantity::Duration, &[border], None);
            for (value, below) in [(nanoseconds, 1), (nanoseconds + 1, 0)] {
                let mut cells = vec![0; layout.cells()];
                cells[layout.cell(value)] += 1;
                assert_eq!(layout.classic(&cells)[0], (border, below), "{value}");
            }
        }
        let layout = Layout::new(Quantity::Size, &[1024.0], None);
        let segment = |value| {
            let mut cells = vec![0; layout.cells()];
            cells[layout.cell(value)] += 1;
            layout.exponential(&cells).iter().position(|count| *count == 1).unwrap()
        };
        // Of smaller ones the next whole number is several buckets further.
        for exponent in 4..=32 {
            let border = 1 << exponent;
            assert_eq!(layout.quantity.upper(segment(border)), border as f64);
            assert_eq!(segment(border + 1), segment(border) + 1);
        }
        assert_eq!((segment(0), segment(u64::MAX)), (0, layout.quantity.segments() - 1));
    }

    #[test]
    fn a_native_bucket_ends_where_its_index_says() {
        for quantity in BOTH {
            for schema in 0..=MAX_SCHEMA {
                for segment in 1..quantity.segments() - 1 {
                    let index = quantity.native_index(segment, schema);
                    let border = |index: i32| (f64::from(index) / f64::from(1 << schema)).exp2();
                    let middle = (quantity.upper(segment) * quantity.upper(segment - 1)).sqrt();
                    assert!(border(index - 1) < middle && middle < border(index), "{schema} {segment} {index}");
                }
            }
        }
    }

    fn bounds() -> impl Strategy<Value = Vec<f64>> {
        // Also such as are borders of exponential buckets, below the first and above the last of them.
        let bound = prop_oneof![1e-9..1e6f64, (-25..40i32).prop_map(|e| f64::from(e).exp2())];
        prop::collection::vec(bound, 1..50).prop_map(|mut bounds| {
            bounds.sort_by(f64::total_cmp);
            bounds.dedup();
            bounds
        })
    }

    /// Of every magnitude.
    fn values() -> impl Strategy<Value = Vec<u64>> {
        prop::collection::vec((any::<u64>(), 0..64u32).prop_map(|(bits, shift)| bits >> shift), 1..100)
    }

    proptest! {
        #[test]
        fn one_cell_is_right_for_both_kinds_of_buckets(bounds in bounds(), values in values()) {
            for quantity in BOTH {
                let layout = Layout::new(quantity, &bounds, Some(3));
                let mut cells = vec![0; layout.cells()];
                for value in &values {
                    cells[layout.cell(*value)] += 1;
                }
                let values = || values.iter().map(|value| *value as f64 / quantity.scale());
                let mut below = 0;
                for (bound, count) in layout.classic(&cells) {
                    below += count;
                    prop_assert_eq!(below, values().filter(|value| *value <= bound).count() as u64);
                }
                let mut below = 0;
                for (segment, count) in layout.exponential(&cells).into_iter().enumerate() {
                    below += count;
                    prop_assert_eq!(below, values().filter(|v| *v <= quantity.upper(segment)).count() as u64);
                }
            }
        }
    }
}
