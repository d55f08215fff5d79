//! How long a stream may take, and how long its next message.

use std::{
    future::Future as _,
    pin::Pin,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use futures_core::Stream as _;
use tokio::time::{Instant, Sleep, sleep_until};

use super::Deadline;
use crate::{Error, Message, Streaming, endpoint::MapStream};

/// How many messages that are there at once are passed on before the clock is read again: the timer alone does not go off in a
/// task that never waits.
const UNREAD: u32 = 32;

/// The end of a stream.
pub(crate) struct Until {
    at: Instant,
    sleep: Pin<Box<Sleep>>,
    polls: u32,
}

impl Until {
    pub(crate) fn new(at: Instant) -> Self {
        Self { at, sleep: Box::pin(sleep_until(at)), polls: 0 }
    }

    /// The next of a stream, `None` when its time is over.
    #[inline]
    pub(crate) fn poll<T>(
        &mut self,
        cx: &mut TaskContext<'_>,
        next: impl FnOnce(&mut TaskContext<'_>) -> Poll<T>,
    ) -> Poll<Option<T>> {
        if self.is_over(cx) {
            return Poll::Ready(None);
        }
        match next(cx) {
            Poll::Ready(next) => Poll::Ready(Some(next)),
            Poll::Pending => self.sleep.as_mut().poll(cx).map(|()| None),
        }
    }

    /// To poll the timer costs more than a message does: mostly it is enough to look whether it has gone off.
    #[inline]
    fn is_over(&mut self, cx: &mut TaskContext<'_>) -> bool {
        let polls = self.polls;
        self.polls = polls.wrapping_add(1);
        match polls {
            0 => self.sleep.as_mut().poll(cx).is_ready(),
            _ if polls.is_multiple_of(UNREAD) => self.at <= Instant::now(),
            _ => self.sleep.is_elapsed(),
        }
    }
}

/// The longest wait for a next message. The time in which nobody asks for one is not counted: a reader that is slow is no fault
/// of the sender.
struct Idle {
    limit: Duration,
    failed: fn(Duration) -> Error,
    sleep: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

impl Idle {
    fn new(limit: Duration, failed: fn(Duration) -> Error) -> Self {
        Self { limit, failed, sleep: None, waiting: false }
    }

    /// Whether somebody has waited for too long. Asked when there is no message.
    fn is_over(&mut self, cx: &mut TaskContext<'_>) -> bool {
        if !self.waiting {
            let Some(until) = Instant::now().checked_add(self.limit) else { return false };
            match &mut self.sleep {
                Some(sleep) => sleep.as_mut().reset(until),
                None => self.sleep = Some(Box::pin(sleep_until(until))),
            }
            self.waiting = true;
        }
        self.sleep.as_mut().is_some_and(|sleep| sleep.as_mut().poll(cx).is_ready())
    }
}

/// The limits of one stream.
pub(crate) struct StreamLimits {
    total: Option<(Deadline, Until)>,
    idle: Option<Idle>,
}

impl StreamLimits {
    /// Of the answers to a call.
    pub(crate) fn of_answers(deadline: Deadline, idle: Option<Duration>) -> Self {
        let total = deadline.at().map(|at| (deadline, Until::new(at)));
        Self { total, idle: idle.map(|limit| Idle::new(limit, stuck)) }
    }

    /// Of the messages of a caller: how long they go on is the deadline's matter.
    pub(super) fn of_requests(idle: Duration) -> Self {
        Self { total: None, idle: Some(Idle::new(idle, silent)) }
    }

    /// The next of a stream, or the error of a limit.
    #[inline]
    pub(crate) fn poll<T>(
        &mut self,
        cx: &mut TaskContext<'_>,
        next: impl FnOnce(&mut TaskContext<'_>) -> Poll<Option<Result<T, Error>>>,
    ) -> Poll<Option<Result<T, Error>>> {
        let Self { total, idle } = self;
        let next = |cx: &mut TaskContext<'_>| {
            let polled = next(cx);
            let Some(idle) = idle else { return polled };
            if polled.is_pending() && idle.is_over(cx) {
                return Poll::Ready(Some(Err((idle.failed)(idle.limit))));
            }
            idle.waiting = polled.is_pending();
            polled
        };
        let Some((deadline, until)) = total else { return next(cx) };
        match until.poll(cx, next) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => Poll::Ready(Some(Err(deadline.exceeded()))),
            Poll::Ready(Some(Some(Err(error)))) => Poll::Ready(Some(Err(deadline.judge(error)))),
            Poll::Ready(Some(item)) => Poll::Ready(item),
        }
    }
}

impl MapStream for StreamLimits {
    fn map<M: Message>(mut self, mut stream: Streaming<M>) -> Streaming<M> {
        Streaming::new(futures_util::stream::poll_fn(move |cx| self.poll(cx, |cx| Pin::new(&mut stream).poll_next(cx))))
    }
}

/// The caller says no more: that is no fault of the service's.
fn silent(limit: Duration) -> Error {
    Error::cancelled(format!("no message of the request came for {}", crate::duration::format(limit)))
}

fn stuck(limit: Duration) -> Error {
    Error::deadline_exceeded(format!("no message of the answer came for {}", crate::duration::format(limit)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Code, Context};

    const SECOND: Duration = Duration::from_secs(1);

    fn until(total: Duration) -> StreamLimits {
        let limits = super::super::TimeoutLimits::new(Some(total), None);
        let deadline = limits.begin(&mut Context::background(), Instant::now(), super::super::Side::Server);
        StreamLimits::of_answers(deadline.unwrap(), None)
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_is_always_ready_ends_at_its_deadline() {
        let mut stream = until(SECOND).map(Streaming::from_iter((0..).map(|_| String::new())));
        assert!(stream.message().await.unwrap().is_some());
        tokio::time::advance(2 * SECOND).await;
        assert_eq!(stream.message().await.unwrap_err().code(), Code::DeadlineExceeded);
        assert_eq!(stream.message().await.unwrap(), None);
    }

    #[tokio::test]
    async fn the_clock_is_read_where_no_timer_can_go_off() {
        let mut stream = until(SECOND / 100).map(Streaming::from_iter((0..).map(|_| String::new())));
        let busy = std::future::poll_fn(|cx| {
            loop {
                match Pin::new(&mut stream).poll_next(cx) {
                    Poll::Ready(Some(Ok(_))) => {}
                    end => return end,
                }
            }
        });
        assert_eq!(busy.await.unwrap().unwrap_err().code(), Code::DeadlineExceeded);
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_time_in_which_somebody_waits_counts_between_messages() {
        let (sender, stream) = Streaming::channel(1);
        let idle = StreamLimits { total: None, idle: Some(Idle::new(SECOND, stuck)) };
        let mut stream = idle.map(stream);
        let message = |number: u32| Ok(number.to_string());
        sender.send(message(1)).await.unwrap();
        tokio::time::advance(10 * SECOND).await;
        assert_eq!(stream.message().await.unwrap().unwrap(), "1", "nobody asked for it before");
        for number in 2..5 {
            let late = async {
                tokio::time::sleep(SECOND / 2).await;
                sender.send(message(number)).await.unwrap();
            };
            let next = tokio::join!(stream.message(), late).0;
            assert_eq!(next.unwrap(), Some(number.to_string()), "each has its own time");
        }
        let began = Instant::now();
        assert_eq!(stream.message().await.unwrap_err().code(), Code::DeadlineExceeded);
        assert_eq!(began.elapsed(), SECOND);
        assert_eq!(stream.message().await.unwrap(), None);
    }
}
