//! Values of a fixed number of moments.

use std::ops::RangeInclusive;

/// The moments that are remembered: fifteen minutes of seconds.
pub(in crate::debug) const POINTS: usize = 900;

/// One line of a chart: the value of each of the last [`POINTS`] moments. Takes all its memory when it is made.
#[derive(Debug)]
pub(super) struct Ring(Box<[f32]>);

impl Ring {
    /// The memory of one, in bytes.
    pub(super) const BYTES: usize = POINTS * size_of::<f32>();

    pub(super) fn new() -> Self {
        Self(vec![f32::NAN; POINTS].into())
    }

    /// Forgets all values.
    pub(super) fn clear(&mut self) {
        self.0.fill(f32::NAN);
    }

    /// Sets the value of a moment in the place of the one [`POINTS`] before it. Not a number: nothing is known.
    pub(super) fn set(&mut self, moment: u64, value: f64) {
        if let Some(place) = self.0.get_mut(index(moment)) {
            *place = value as f32;
        }
    }

    /// The value of a moment, which must be one of the last.
    #[cfg(test)]
    pub(super) fn get(&self, moment: u64) -> f32 {
        self.0.get(index(moment)).copied().unwrap_or(f32::NAN)
    }

    /// The values of moments, which must be some of the last.
    pub(super) fn copy(&self, moments: &RangeInclusive<u64>) -> Vec<f32> {
        if moments.is_empty() {
            return Vec::new();
        }
        let (first, last) = (index(*moments.start()), index(*moments.end()));
        let part = |range: std::ops::Range<usize>| self.0.get(range).unwrap_or_default();
        if first <= last { part(first..last + 1).to_vec() } else { [part(first..POINTS), part(0..last + 1)].concat() }
    }
}

fn index(moment: u64) -> usize {
    (moment % POINTS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_values_are_kept_in_the_same_memory() {
        let mut ring = Ring::new();
        assert!(ring.get(0).is_nan());
        let memory = ring.0.as_ptr();
        for moment in 0..2500_u64 {
            ring.set(moment, moment as f64);
        }
        assert_eq!((ring.0.as_ptr(), ring.0.len()), (memory, POINTS));
        for moment in 1600..2500_u64 {
            assert_eq!(ring.get(moment), moment as f32);
        }
        for moments in [1600..=2499_u64, 1799..=1800, 2499..=2499, 1800..=2499, 1600..=1799] {
            let expected: Vec<f32> = moments.clone().map(|moment| ring.get(moment)).collect();
            assert_eq!(ring.copy(&moments), expected, "{moments:?}");
        }
        assert!(ring.copy(&std::ops::RangeInclusive::new(2500, 2499)).is_empty());
        ring.clear();
        assert!((0..900).all(|moment| ring.get(moment).is_nan()));
    }
}
