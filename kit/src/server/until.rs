//! A future that is given up when a token is cancelled.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

pin_project! {
    /// Polls a future until it is done or a token is cancelled. What `CancellationToken::run_until_cancelled_owned` does, but that
    /// has room for the future three times, once in each of its async functions, and every idle connection would keep it.
    pub(super) struct Until<F> {
        #[pin]
        cancelled: WaitForCancellationFutureOwned,
        #[pin]
        running: F,
    }
}

impl<F> Until<F> {
    pub(super) fn new(token: CancellationToken, running: F) -> Self {
        Self { cancelled: token.cancelled_owned(), running }
    }
}

impl<F: Future<Output = ()>> Future for Until<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.cancelled.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        this.running.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn it_ends_with_the_future_or_with_the_token() {
        let token = CancellationToken::new();
        Until::new(token.clone(), ready(())).await;
        let mut waits = Box::pin(Until::new(token.clone(), pending()));
        assert!(waits.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())).is_pending());
        token.cancel();
        waits.await;
    }

    #[test]
    fn it_has_room_for_the_future_once() {
        const SIZE: usize = 4096;
        let big = || async {
            let bytes = [0_u8; SIZE];
            std::future::ready(()).await;
            std::hint::black_box(bytes);
        };
        assert!(size_of_val(&Until::new(CancellationToken::new(), big())) < 2 * SIZE);
    }
}
