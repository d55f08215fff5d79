//! What is so while a call is worked on.

use std::{
    future::Future,
    pin::Pin,
    task::{Context as TaskContext, Poll, ready},
};

use tokio::time::{Sleep, sleep_until};

use crate::{
    Code, Error, Response,
    endpoint::current,
    error::stack::capturing,
    layer::{recover::catch, timeout::Deadline},
};

/// Works on a call: as the one that runs, until its deadline, with panics that become answers.
pub(super) struct Inside<'a, F> {
    // `None` when it is over.
    work: Pin<&'a mut Option<F>>,
    call: &'a mut Option<current::Call>,
    wants_stacks: bool,
    deadline: Deadline,
    // The timer is made for a call that has to wait: many are answered at once.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl<'a, F> Inside<'a, F> {
    pub(super) fn new(
        work: Pin<&'a mut Option<F>>,
        call: &'a mut Option<current::Call>,
        wants_stacks: bool,
        deadline: Deadline,
    ) -> Self {
        Self { work, call, wants_stacks, deadline, sleep: None }
    }
}

impl<F, Res> Future for Inside<'_, F>
where
    F: Future<Output = Result<Response<Res>, Error>>,
{
    type Output = Result<Response<Res>, Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let Self { work, call, wants_stacks, deadline, sleep } = self.get_mut();
        current::within(call, || {
            let polled = capturing(*wants_stacks, || catch(|| poll_until(work.as_mut(), *deadline, sleep, cx)));
            let polled = polled.unwrap_or_else(|panic| Poll::Ready(Err(panic)));
            if polled.is_ready() {
                // What it still holds is given back while it is current.
                work.set(None);
            }
            polled
        })
    }
}

#[inline]
fn poll_until<F, Res>(
    work: Pin<&mut Option<F>>,
    deadline: Deadline,
    sleep: &mut Option<Pin<Box<Sleep>>>,
    cx: &mut TaskContext<'_>,
) -> Poll<Result<Response<Res>, Error>>
where
    F: Future<Output = Result<Response<Res>, Error>>,
{
    let Some(work) = work.as_pin_mut() else { return Poll::Pending };
    // The answer first: one that is there at the deadline was in time.
    match work.poll(cx) {
        Poll::Ready(Err(error)) if error.code() == Code::DeadlineExceeded => Poll::Ready(Err(deadline.judge(error))),
        Poll::Ready(result) => Poll::Ready(result),
        Poll::Pending => {
            let Some(at) = deadline.at() else { return Poll::Pending };
            ready!(sleep.get_or_insert_with(|| Box::pin(sleep_until(at))).as_mut().poll(cx));
            Poll::Ready(Err(deadline.exceeded()))
        }
    }
}

impl<F> Drop for Inside<'_, F> {
    // What a cancelled call does at last belongs to it, too.
    fn drop(&mut self) {
        if self.work.is_some() {
            let Self { work, call, .. } = self;
            current::within(call, || work.set(None));
        }
    }
}
