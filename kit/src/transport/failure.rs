//! What the caller's own stream failed with, on its way back to the caller.

use std::{
    any::Any,
    future::Future,
    pin::Pin,
    task::{Context as TaskContext, Poll, ready},
};

use futures_core::Stream as _;
use tokio::sync::oneshot;

use crate::{Error, Message, Streaming};

/// Where the sending side of a call tells its error.
pub(crate) type Failed = oneshot::Sender<Error>;

/// The error that the sending side of a call ends with, if it does. A transport's own error that follows from it would hide
/// it from the only one who can mend it.
pub(crate) struct Failure(Option<oneshot::Receiver<Error>>);

impl Failure {
    pub(crate) fn new() -> (Failed, Self) {
        let (failed, failure) = oneshot::channel();
        (failed, Self(Some(failure)))
    }

    /// Pending while there is no error.
    fn poll(&mut self, cx: &mut TaskContext<'_>) -> Poll<Error> {
        if let Some(failure) = &mut self.0 {
            match ready!(Pin::new(failure).poll(cx)) {
                Ok(error) => return Poll::Ready(error),
                Err(_) => self.0 = None,
            }
        }
        Poll::Pending
    }

    /// The outcome of a call, or the error of its sending side.
    pub(crate) async fn or<T>(&mut self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let mut call = std::pin::pin!(call);
        std::future::poll_fn(|cx| {
            let called = call.as_mut().poll(cx);
            // Looked at last: the error may have come while the call was polled, and then the call failed for it.
            match self.poll(cx) {
                Poll::Ready(error) => Poll::Ready(Err(error)),
                Poll::Pending => called,
            }
        })
        .await
    }

    /// The answers of a call whose sending side may fail long after they began: they end with its error then. `guard` is
    /// dropped with them.
    pub(crate) fn ends<M: Message>(mut self, mut answers: Streaming<M>, guard: impl Any + Send) -> Streaming<M> {
        let answers = futures_util::stream::poll_fn(move |cx| {
            let item = Pin::new(&mut answers).poll_next(cx);
            match self.poll(cx) {
                Poll::Ready(error) => Poll::Ready(Some(Err(error))),
                Poll::Pending => item,
            }
        });
        Streaming::new(answers).hold(guard)
    }
}
