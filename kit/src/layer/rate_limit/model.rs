//! The algorithm against what it is meant to be.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use proptest::prelude::*;

use super::{
    RateLimitConfig,
    gcra::{Cell, Rate, SLACK},
};

/// The tasks of many threads on one limit; the clock stands still, so no debt is paid meanwhile.
#[test]
fn threads_share_one_burst() {
    let cell = Cell::new();
    let rate = Rate { interval: 10, full: 10 * 1000 };
    let admitted = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1000 {
                    admitted.fetch_add(usize::from(cell.take(rate, 5).wait == 0), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(admitted.load(Ordering::Relaxed), 1000);
}

/// A bucket that leaks: what a limit is meant to be, in the plainest words.
struct Bucket {
    level: u64,
    at: u64,
}

impl Bucket {
    fn call(&mut self, rate: Rate, now: u64) -> bool {
        self.level = self.level.saturating_sub(now - self.at);
        self.at = now;
        let fits = self.level + rate.interval <= rate.full;
        if fits {
            self.level += rate.interval;
        }
        fits
    }
}

proptest! {
    #[test]
    fn it_decides_as_a_leaking_bucket_does(
        limit in 1..200_u64,
        per in 1..100_000_u64,
        burst in 1..50_u64,
        gaps in prop::collection::vec(0..2_000_u64, 1..400),
    ) {
        let rate = RateLimitConfig::of(limit, Duration::from_nanos(per.max(limit))).with_burst(burst).rate();
        let (cell, mut bucket, mut now) = (Cell::new(), Bucket { level: 0, at: 0 }, 0);
        for gap in gaps {
            now += gap;
            let verdict = cell.take(rate, now);
            prop_assert_eq!(verdict.wait == 0, bucket.call(rate, now));
            prop_assert_eq!(verdict.debt, bucket.level);
            prop_assert_eq!(rate.remaining(verdict.debt), (rate.full - bucket.level) / rate.interval);
            // The wait is exact: not one nanosecond less would do.
            if verdict.wait > 0 {
                prop_assert!(cell.take(rate, now + verdict.wait - 1).wait == 1);
                now += verdict.wait;
                prop_assert!(cell.take(rate, now).wait == 0 && bucket.call(rate, now));
            }
        }
    }

    /// In any window, whatever the schedule, and however late the threads come that read the clock.
    #[test]
    fn never_more_than_the_limit_and_a_burst_in_any_window(
        limit in 1..50_u64,
        per in 50..10_000_u64,
        burst in 1..20_u64,
        gaps in prop::collection::vec((0..400_u64, 0..300_u64), 1..600),
    ) {
        let rate = RateLimitConfig::of(limit, Duration::from_nanos(per)).with_burst(burst).rate();
        let (cell, mut clock) = (Cell::new(), 0_u64);
        let mut admitted = Vec::new();
        for (gap, late) in gaps {
            clock += gap;
            let now = clock.saturating_sub(late);
            if cell.take(rate, now).wait == 0 {
                admitted.push(now);
            }
        }
        for from in &admitted {
            let window = admitted.iter().filter(|at| (*from..=from + per).contains(*at)).count() as u64;
            prop_assert!(window <= limit + burst, "{window} in {per} from {from}: {admitted:?}");
        }
    }

    /// Jumps of the clock to anywhere: nothing overflows, and it is never closed for longer than the largest debt takes.
    #[test]
    fn a_clock_that_jumps_does_not_close_it(
        rate in (1..1_000_000_u64, 1..1_000_u64).prop_map(|(interval, burst)| Rate { interval, full: interval * burst }),
        jumps in prop::collection::vec(prop_oneof![any::<u64>(), 0..10_000_u64, u64::MAX - 1_000..=u64::MAX], 1..200),
    ) {
        let cell = Cell::new();
        for now in jumps {
            let verdict = cell.take(rate, now);
            prop_assert!(verdict.wait <= rate.interval.saturating_add(SLACK), "{verdict:?}");
            prop_assert!(verdict.debt <= rate.full.saturating_add(SLACK), "{verdict:?}");
            // The clock goes on from here.
            let later = now.saturating_add(verdict.wait);
            if verdict.wait > 0 && later < u64::MAX - rate.full {
                prop_assert!(cell.take(rate, later).wait == 0, "{verdict:?} at {now}");
            }
        }
    }
}

#[test]
fn a_clock_at_the_end_of_time_admits_a_burst_and_no_more() {
    let (cell, rate) = (Cell::new(), Rate { interval: 10, full: 30 });
    let admitted = (0..10).filter(|_| cell.take(rate, u64::MAX).wait == 0).count();
    assert_eq!(admitted, 3);
    // Back in the present: the debt is the largest there is, and is paid from now on.
    assert_eq!(cell.take(rate, 1_000).wait, 10);
    assert_eq!(cell.take(rate, 1_010).wait, 0);
}
