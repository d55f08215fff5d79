//! Beside the file that they test, because that is compiled by `kit-loom`, too.

use super::gate::*;

#[test]
fn the_word_holds_every_state() {
    let gate = Gate::new();
    for (era, state) in (1..).zip(BreakerState::ALL) {
        gate.turn(state);
        assert_eq!((gate.now().state(), gate.now().era()), (state, era), "{}", state.name());
    }
}

#[test]
fn leases_are_bounded_and_come_back() {
    let gate = Gate::new();
    assert_eq!(gate.lease(2, 3), None, "a closed breaker has no probes");
    let era = gate.turn(BreakerState::HalfOpen).era();
    assert!(gate.lease(2, 3).is_some() && gate.lease(2, 3).is_some());
    assert_eq!(gate.lease(2, 3), None, "two at once");
    gate.give_back(era);
    assert!(gate.lease(2, 3).is_some());
    assert_eq!((gate.pass(era, 3), gate.pass(era, 3)), (Passed::NotYet, Passed::NotYet));
    assert!(gate.lease(2, 3).is_some());
    assert_eq!(gate.lease(2, 3), None, "one more is all that is needed");
    assert_eq!(gate.pass(era, 3), Passed::Enough);
}

#[test]
fn an_old_lease_says_nothing() {
    let gate = Gate::new();
    let old = gate.turn(BreakerState::HalfOpen).era();
    gate.lease(1, 1).unwrap();
    gate.turn(BreakerState::Open);
    gate.turn(BreakerState::HalfOpen);
    gate.lease(1, 1).unwrap();
    gate.give_back(old);
    assert_eq!(gate.pass(old, 1), Passed::TooLate);
    assert_eq!((gate.now().leased(), gate.now().passed()), (1, 0));
}

#[test]
fn the_most_probes_fit() {
    let gate = Gate::new();
    let era = gate.turn(BreakerState::HalfOpen).era();
    for _ in 0..MOST_PROBES {
        gate.lease(MOST_PROBES, MOST_PROBES).unwrap();
    }
    for left in (0..MOST_PROBES).rev() {
        let expected = if left == 0 { Passed::Enough } else { Passed::NotYet };
        assert_eq!(gate.pass(era, MOST_PROBES), expected);
    }
    assert_eq!((gate.now().state(), gate.now().era()), (BreakerState::HalfOpen, era));
}
