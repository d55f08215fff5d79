//! Values of a fixed number of moments.

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
    pub(super) fn get(&self, moment: u64) -> f32 {
        self.0.get(index(moment)).copied().unwrap_or(f32::NAN)
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
        ring.clear();
        assert!((0..900).all(|moment| ring.get(moment).is_nan()));
    }
}
