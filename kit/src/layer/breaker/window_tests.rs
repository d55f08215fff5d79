//! Beside the file that they test, because that is compiled by `kit-loom`, too.

use super::window::*;

const FAILED: Bad = Bad { failed: true, slow: false };
const SLOW: Bad = Bad { failed: false, slow: true };

fn good(window: &Window, now: u64) {
    assert!(window.tally.enter(1));
    window.good(|| now);
}

fn bad(window: &Window, bad: Bad, now: u64) -> Figures {
    assert!(window.tally.enter(1));
    window.bad(bad, 0, now).unwrap()
}

fn figures(calls: u64, failures: u64, slow: u64) -> Figures {
    Figures { calls, failures, slow }
}

#[test]
fn the_last_calls() {
    let window = Window::new(Shape::Calls(3));
    bad(&window, FAILED, 0);
    assert_eq!(bad(&window, SLOW, 0), figures(2, 1, 1));
    good(&window, 0);
    assert_eq!(window.figures(0), figures(3, 1, 1));
    good(&window, 0);
    assert_eq!(window.figures(0), figures(3, 0, 1), "the failure is four calls ago");
    good(&window, 0);
    assert_eq!(window.figures(0), figures(3, 0, 0));
}

#[test]
fn the_last_seconds() {
    let window = Window::new(Shape::Time { width: 10, buckets: 3 });
    bad(&window, FAILED, 5);
    good(&window, 12);
    assert_eq!(bad(&window, SLOW, 29), figures(3, 1, 1));
    assert_eq!(window.figures(29), figures(3, 1, 1));
    assert_eq!(window.figures(30), figures(2, 0, 1), "the first bucket is over");
    assert_eq!(window.figures(49), figures(1, 0, 1));
    assert_eq!(window.figures(50), figures(0, 0, 0));
    good(&window, 1_000);
    assert_eq!(window.figures(1_000), figures(1, 0, 0), "a long silence is forgotten");
    good(&window, 5);
    assert_eq!(window.figures(5), figures(2, 0, 0), "a clock that goes back changes nothing");
}

#[test]
fn a_good_call_never_sees_too_few_bad_ones() {
    let window = Window::new(Shape::Calls(2));
    bad(&window, FAILED, 0);
    for calls in [2, 2, 2] {
        window.tally.enter(1);
        assert_eq!(window.good(|| 0), figures(calls, 1, 0));
    }
    assert_eq!(window.figures(0), figures(2, 0, 0));
}

#[test]
fn a_call_of_another_era_is_not_counted() {
    let window = Window::new(Shape::Calls(2));
    bad(&window, FAILED, 0);
    window.tally.enter(1);
    window.reset(1, Some(Shape::Calls(5)));
    assert_eq!(window.bad(FAILED, 0, 0), None);
    assert_eq!((window.figures(0), window.tally.running()), (figures(0, 0, 0), 0));
}
