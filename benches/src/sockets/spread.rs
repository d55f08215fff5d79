/// The median of some figures and the quartiles around it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The figure in the middle.
    pub median: f64,
    /// A quarter of the figures is below.
    pub low: f64,
    /// A quarter of the figures is above.
    pub high: f64,
}

impl Spread {
    /// That of these figures; not a number for none.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Self { median: quantile(&sorted, 0.5), low: quantile(&sorted, 0.25), high: quantile(&sorted, 0.75) }
    }

    /// The quotients of two rows of figures, turn by turn: what slows the machine down for a while falls on both sides alike.
    pub fn of_ratios(ours: &[f64], theirs: &[f64]) -> Self {
        Self::of(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs))
    }
}

/// Between two figures it is on the straight line from one to the other.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * sorted.len().saturating_sub(1) as f64;
    let (below, above) = (sorted.get(place.floor() as usize), sorted.get(place.ceil() as usize));
    match (below, above) {
        (Some(below), Some(above)) => below + (above - below) * place.fract(),
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle_and_the_quartiles_around_it() {
        let spread = Spread::of([5.0, 1.0, 2.0, 900.0, 3.0]);
        assert_eq!((spread.low, spread.median, spread.high), (2.0, 3.0, 5.0));
        assert_eq!(Spread::of([1.0, 2.0]).median, 1.5);
        assert!(Spread::of([]).median.is_nan());
    }

    #[test]
    fn ratios_are_taken_turn_by_turn() {
        assert_eq!(Spread::of_ratios(&[2.0, 20.0, 3.0], &[1.0, 10.0, 1.0]).median, 2.0);
    }
}
