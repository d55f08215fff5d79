//! Each algorithm alone, against a service that works on a number of calls at once, each for 10 ms.

use std::time::Duration;

use crate::layer::adaptive::{Aimd, Gradient2, Limit, Sample, Vegas};

const BASE: Duration = Duration::from_millis(10);

/// Windows of a service with as much to do as the limit allows.
fn saturated(limit: &mut dyn Limit, capacity: f64, windows: usize) -> f64 {
    for _ in 0..windows {
        let in_flight = limit.limit().max(1.0);
        let rtt = BASE.mul_f64((in_flight / capacity).max(1.0));
        limit.update(&Sample { rtt, in_flight: in_flight as u32, dropped: false });
        limit.set(limit.limit().clamp(1.0, 10_000.0));
    }
    limit.limit()
}

fn quiet(in_flight: u32) -> Sample {
    Sample { rtt: BASE, in_flight, dropped: false }
}

#[test]
fn gradient2_follows_the_capacity_both_ways() {
    let mut limit = Gradient2::new(20.0, 1.5, 0.2, 600);
    let near = |limit: f64, capacity: f64| limit >= capacity * 0.9 && limit <= capacity * 2.5;
    for capacity in [100.0, 30.0, 200.0] {
        for _ in 0..4 {
            saturated(&mut limit, capacity, 100);
            limit.rebase(BASE);
        }
        assert!(near(limit.limit(), capacity), "{} for {capacity}", limit.limit());
    }
}

/// Without being told what calls take without load it gets used to the load.
#[test]
fn gradient2_needs_to_be_rebased() {
    let (mut told, mut untold) = (Gradient2::new(20.0, 1.5, 0.2, 600), Gradient2::new(20.0, 1.5, 0.2, 600));
    for _ in 0..30 {
        saturated(&mut told, 50.0, 100);
        told.rebase(BASE);
        saturated(&mut untold, 50.0, 100);
    }
    assert!(told.limit() < 50.0 * 2.5, "{}", told.limit());
    assert!(untold.limit() > told.limit() * 2.0, "{} and {}", untold.limit(), told.limit());
}

#[test]
fn vegas_keeps_a_short_queue() {
    let mut limit = Vegas::new(20.0);
    for capacity in [100.0, 30.0, 200.0] {
        let found = saturated(&mut limit, capacity, 300);
        assert!(found >= capacity && found <= capacity + 15.0, "{found} for {capacity}");
    }
    // A service that became slower for good looks like one with a queue until it is tried with less.
    let slower = Sample { rtt: BASE * 3, in_flight: 200, dropped: false };
    let before = limit.limit();
    assert!(limit.update(&slower) < before);
    limit.rebase(BASE * 3);
    assert!(limit.update(&slower) >= before - 3.0);
}

#[test]
fn aimd_goes_up_by_one_and_down_by_a_share() {
    let mut limit = Aimd::new(20.0, 0.5, BASE * 2);
    assert_eq!(limit.update(&quiet(20)), 21.0);
    assert_eq!(limit.update(&Sample { dropped: true, ..quiet(20) }), 10.5);
    assert_eq!(limit.update(&Sample { rtt: BASE * 3, ..quiet(20) }), 5.25);
    let mut limit = Aimd::new(20.0, 0.9, BASE * 2);
    for capacity in [100.0, 30.0] {
        let found = saturated(&mut limit, capacity, 500);
        assert!(found >= capacity && found <= capacity * 2.1, "{found} for {capacity}");
    }
}

/// Who uses less than half of the limit tells nothing about its upper end.
#[test]
fn an_unused_limit_stands_still() {
    let algorithms: [Box<dyn Limit>; 3] = [
        Box::new(Gradient2::new(100.0, 1.5, 0.2, 600)),
        Box::new(Vegas::new(100.0)),
        Box::new(Aimd::new(100.0, 0.9, BASE * 2)),
    ];
    for mut limit in algorithms {
        for _ in 0..100 {
            limit.update(&quiet(49));
        }
        assert_eq!(limit.limit(), 100.0);
        limit.update(&quiet(50));
        assert!(limit.limit() > 100.0);
        for _ in 0..10 {
            limit.update(&Sample { dropped: true, ..quiet(1) });
        }
        assert!(limit.limit() < 100.0, "{}", limit.limit());
    }
}

/// Calls that take no time, and windows in which all were dropped, must not make nonsense of a limit.
#[test]
fn times_of_zero_are_survived() {
    let algorithms: [Box<dyn Limit>; 3] = [
        Box::new(Gradient2::new(10.0, 1.5, 0.2, 600)),
        Box::new(Vegas::new(10.0)),
        Box::new(Aimd::new(10.0, 0.9, BASE)),
    ];
    for mut limit in algorithms {
        for (rtt, dropped) in [(Duration::ZERO, false), (Duration::ZERO, true), (BASE, false), (Duration::MAX, false)] {
            limit.update(&Sample { rtt, in_flight: 10, dropped });
            limit.rebase(rtt);
            assert!(limit.limit().is_finite() && limit.limit() > 0.0, "{}", limit.limit());
        }
    }
}
