use std::{task::Poll, time::Duration};

use futures_util::poll;
use tokio::time::{Instant, advance};

use super::*;
use crate::{Class, Code};

use Priority::{Critical, Normal, Sheddable};

#[tokio::test(start_paused = true)]
async fn what_is_too_much_waits_and_then_is_refused() {
    let limiter = limiter(2, 1);
    let first = enter(&limiter, Normal).admitted();
    let second = enter(&limiter, Normal).admitted();
    assert_eq!((first.in_flight(), second.in_flight()), (1, 2));
    let mut third = enter(&limiter, Normal).waiting();
    assert!(poll!(&mut third).is_pending());
    let error = enter(&limiter, Normal).refused();
    assert_eq!((error.code(), error.class()), (Code::ResourceExhausted, Class::Rejected));
    assert_eq!((error.message(), reason(&error)), ("too many calls at once", "CONCURRENCY_LIMIT"));
    assert_eq!(error.retry_delay(), Some(Duration::from_secs(1)));
    advance(Duration::from_millis(250)).await;
    drop(first);
    let third = third.await.unwrap();
    let figures = limiter.figures();
    assert_eq!((figures.in_flight, figures.queued, figures.full, figures.waited), (2, 0, 1, 1));
    assert_eq!(figures.waiting_time, Duration::from_millis(250));
    drop((second, third));
    assert_eq!(limiter.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn without_a_queue_nobody_waits() {
    let limiter = limiter(1, 0);
    let permit = enter(&limiter, Normal).admitted();
    enter(&limiter, Critical).refused();
    drop(permit);
    enter(&limiter, Normal).admitted();
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_at_the_first_of_three_times() {
    let limiter = limiter(1, 8);
    let permit = enter(&limiter, Normal).admitted();
    let start = Instant::now();
    let within = |milliseconds| Some(start + Duration::from_millis(milliseconds));
    let patient = limiter.enter(Normal, within(5000)).waiting();
    let hurried = limiter.enter(Normal, within(400)).waiting();
    let (error, at) = tokio::join!(async { hurried.await.unwrap_err() }, async {
        let error = patient.await.unwrap_err();
        (error, start.elapsed())
    });
    // The caller's own deadline: coming again makes no sense, and no breaker counts it.
    assert_eq!((error.code(), error.class(), error.retry_delay()), (Code::DeadlineExceeded, Class::Rejected, None));
    assert_eq!(reason(&error), "QUEUE_TIMEOUT");
    let (error, elapsed) = at;
    assert_eq!(
        (error.code(), reason(&error), elapsed),
        (Code::ResourceExhausted, "QUEUE_TIMEOUT", Duration::from_secs(1))
    );
    // One whose deadline has passed does not even begin to wait.
    assert_eq!(limiter.enter(Normal, Some(start)).refused().code(), Code::DeadlineExceeded);
    assert_eq!((limiter.figures().queued, limiter.figures().timed_out), (0, 3));
    drop(permit);
    assert_eq!(limiter.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_important_stand_first_and_equals_in_order() {
    let limiter = limiter(1, 8);
    let mut permit = enter(&limiter, Normal).admitted();
    let mut waiting: Vec<_> =
        [(Sheddable, "s"), (Normal, "n1"), (Normal, "n2"), (Critical, "c1"), (Critical, "c2"), (Normal, "n3")]
            .map(|(class, name)| (enter(&limiter, class).waiting(), name))
            .into();
    let mut order = Vec::new();
    while !waiting.is_empty() {
        drop(permit);
        let mut next = None;
        for (at, (wait, _)) in waiting.iter_mut().enumerate() {
            if let Poll::Ready(turn) = poll!(wait) {
                assert!(next.replace((at, turn.unwrap())).is_none(), "two at once");
            }
        }
        let (at, turn) = next.unwrap();
        order.push(waiting.remove(at).1);
        permit = turn;
    }
    assert_eq!(order, ["c1", "c2", "n1", "n2", "n3", "s"]);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_drops_the_newest_of_the_least_important() {
    let limiter = limiter(1, 3);
    let permit = enter(&limiter, Normal).admitted();
    let mut older = enter(&limiter, Sheddable).waiting();
    let mut newer = enter(&limiter, Sheddable).waiting();
    let mut normal = enter(&limiter, Normal).waiting();
    enter(&limiter, Sheddable).refused();
    let mut critical = enter(&limiter, Critical).waiting();
    let Poll::Ready(Err(error)) = poll!(&mut newer) else { panic!("the newest keeps its place") };
    assert_eq!((reason(&error), error.class()), ("CONCURRENCY_LIMIT", Class::Rejected));
    assert!(error.to_log().to_string().contains("a more important call"), "{}", error.to_log());
    assert!(poll!(&mut older).is_pending() && poll!(&mut normal).is_pending() && poll!(&mut critical).is_pending());
    let mut another = enter(&limiter, Normal).waiting();
    assert!(poll!(&mut older).is_ready());
    // Nobody gives way to an equal.
    enter(&limiter, Normal).refused();
    let figures = limiter.figures();
    assert_eq!((figures.queued, figures.displaced, figures.full), (3, 2, 2));
    drop(permit);
    let permit = critical.await.unwrap();
    assert!(poll!(&mut normal).is_pending());
    drop(permit);
    drop(normal.await.unwrap());
    assert!(poll!(&mut another).is_ready());
}

#[tokio::test(start_paused = true)]
async fn lesser_calls_have_their_share_of_the_limit() {
    let mut config = config(4, 4);
    (config.priority.normal_share, config.priority.sheddable_share) = (0.75, 0.5);
    let limiter = Limiter::new(4, config.admission());
    let mut running = vec![enter(&limiter, Sheddable).admitted(), enter(&limiter, Sheddable).admitted()];
    let mut sheddable = enter(&limiter, Sheddable).waiting();
    // One that waits for its share is in nobody's way.
    running.push(enter(&limiter, Normal).admitted());
    let mut normal = enter(&limiter, Normal).waiting();
    running.push(enter(&limiter, Critical).admitted());
    let mut critical = enter(&limiter, Critical).waiting();
    running.pop();
    running.push((&mut critical).await.unwrap());
    // With three running there is room for nobody but critical calls, with two for normal ones, too.
    running.pop();
    assert!(poll!(&mut normal).is_pending() && poll!(&mut sheddable).is_pending());
    running.pop();
    let Poll::Ready(Ok(normal)) = poll!(&mut normal) else { panic!("there is room") };
    running.pop();
    assert!(poll!(&mut sheddable).is_pending());
    drop(normal);
    let Poll::Ready(Ok(_)) = poll!(&mut sheddable) else { panic!("there is room") };
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_leaves_place_and_permit_at_once() {
    let limiter = limiter(1, 2);
    let permit = enter(&limiter, Normal).admitted();
    let (first, second) = (enter(&limiter, Normal).waiting(), enter(&limiter, Normal).waiting());
    drop(first);
    assert_eq!(limiter.figures().queued, 1);
    let mut third = enter(&limiter, Normal).waiting();
    // The permit is on its way to the second, which goes without having looked.
    drop(permit);
    assert_eq!((limiter.in_flight(), limiter.figures().queued), (1, 1));
    drop(second);
    let Poll::Ready(Ok(permit)) = poll!(&mut third) else { panic!("the permit is lost") };
    drop(permit);
    assert_eq!((limiter.in_flight(), limiter.figures().queued), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_limit_moves_while_calls_run() {
    let limiter = limiter(3, 4);
    let mut running: Vec<_> = (0..3).map(|_| enter(&limiter, Normal).admitted()).collect();
    let mut waiting: Vec<_> = (0..3).map(|_| enter(&limiter, Normal).waiting()).collect();
    limiter.set_limit(1);
    running.truncate(1);
    for wait in &mut waiting {
        assert!(poll!(wait).is_pending());
    }
    limiter.set_limit(3);
    // Kept: a permit that is dropped lets the next one begin.
    let mut begun = Vec::new();
    for wait in &mut waiting {
        if let Poll::Ready(permit) = poll!(wait) {
            begun.push(permit.unwrap());
        }
    }
    assert_eq!((begun.len(), limiter.in_flight(), limiter.figures().queued), (2, 3, 1));
    drop(begun);
    assert!(poll!(&mut waiting[2]).is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_taken_away_lets_those_in_it_wait() {
    let limiter = limiter(1, 4);
    let permit = enter(&limiter, Normal).admitted();
    let mut waiting = enter(&limiter, Sheddable).waiting();
    limiter.reconfigure(1, config(1, 0).admission());
    enter(&limiter, Critical).refused();
    assert!(poll!(&mut waiting).is_pending());
    drop(permit);
    assert!(poll!(&mut waiting).is_ready());
    // Nobody is left who waits, so the next one needs no queue.
    assert_eq!(limiter.figures().queued, 0);
    drop(waiting);
    enter(&limiter, Normal).admitted();
}
