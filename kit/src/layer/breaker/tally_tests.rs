//! Beside the file that they test, because that is compiled by `kit-loom`, too.

use super::tally::*;
use crate::sync::atomic::AtomicU64;

#[test]
fn the_ceiling_holds_and_places_come_back() {
    let tally = Tally::new();
    assert!(tally.enter(2) && tally.enter(2));
    assert!(!tally.enter(2));
    assert_eq!((tally.running(), tally.judged()), (2, 0));
    assert_eq!(tally.leave_judged(), 1);
    assert!(tally.enter(2));
    tally.leave();
    tally.leave();
    assert_eq!((tally.running(), tally.judged()), (0, 1));
}

#[test]
fn without_a_ceiling_the_bits_are_the_ceiling() {
    let tally = Tally(AtomicU64::new(u64::from(MOST_RUNNING) - 1));
    assert!(tally.enter(u32::MAX));
    assert!(!tally.enter(u32::MAX));
    assert_eq!(tally.running(), u64::from(MOST_RUNNING));
}

#[test]
fn the_count_comes_round() {
    let tally = Tally(AtomicU64::new((JUDGED << RUNNING_BITS) | 1));
    let last = tally.judged();
    assert_eq!(tally.leave_judged(), 0);
    assert_eq!((tally.running(), tally.judged(), distance(last, 0)), (0, 0, 1));
}
