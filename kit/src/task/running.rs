//! A task whose panic ends it and nothing else.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::figures::Count;
use crate::layer::recover::catch_in;

pin_project! {
    pub(super) struct Running<F> {
        name: &'static str,
        #[pin]
        task: F,
        count: Count,
    }
}

impl<F> Running<F> {
    pub(super) fn new(name: &'static str, task: F, count: Count) -> Self {
        Self { name, task, count }
    }
}

impl<F: Future<Output = ()>> Future for Running<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        match catch_in(&format_args!("the background task {:?}", this.name), || this.task.poll(cx)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(())) => this.count.finished(),
            // It is logged.
            Err(_) => this.count.panicked(),
        }
        Poll::Ready(())
    }
}
