use std::{
    any::Any,
    fmt,
    future::Future as _,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context as TaskContext, Poll},
};

use futures_core::Stream;
use futures_util::StreamExt as _;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use crate::Error;

type Inner<T> = Pin<Box<dyn Stream<Item = Result<T, Error>> + Send>>;

/// A stream of messages, in the place where a unary call has one message.
///
/// Ends after its first error. Dropping it tells the sender that nobody reads any more.
///
/// ```
/// use kit::Streaming;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// let mut numbers = Streaming::from_iter([1, 2]);
/// assert_eq!(numbers.message().await?, Some(1));
/// assert_eq!(numbers.message().await?, Some(2));
/// assert_eq!(numbers.message().await?, None);
/// # Ok::<(), kit::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Streaming<T> {
    inner: Option<Inner<T>>,
    held: Vec<Box<dyn Any + Send>>,
}

impl<T: Send + 'static> Streaming<T> {
    /// Any stream of results.
    pub fn new(stream: impl Stream<Item = Result<T, Error>> + Send + 'static) -> Self {
        Self { inner: Some(Box::pin(stream)), held: Vec::new() }
    }

    /// The messages of an iterator.
    #[allow(clippy::should_implement_trait, reason = "FromIterator can't ask for a Send iterator")]
    pub fn from_iter<I>(messages: I) -> Self
    where
        I: IntoIterator<Item = T>,
        I::IntoIter: Send + 'static,
    {
        Self::new(futures_util::stream::iter(messages.into_iter().map(Ok)))
    }

    /// A sender and the stream of what it sends; the sender waits while `capacity` messages are unread.
    pub fn channel(capacity: usize) -> (Sender<T>, Self) {
        let (sender, mut receiver) = mpsc::channel(capacity.max(1));
        let panicked = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&panicked);
        let stream = Self::new(futures_util::stream::poll_fn(move |cx| match receiver.poll_recv(cx) {
            Poll::Ready(None) if seen.swap(false, Ordering::Acquire) => {
                Poll::Ready(Some(Err(Error::internal("the service failed in the middle of the stream"))))
            }
            poll => poll,
        }));
        (Sender { sender, panicked }, stream)
    }

    /// The next message, or `None` at the end.
    ///
    /// Cancel-safe: a message is not lost when the future is dropped.
    ///
    /// # Errors
    /// What the sender, or the way to it, failed with; the stream has ended then.
    pub async fn message(&mut self) -> Result<Option<T>, Error> {
        self.next().await.transpose()
    }

    /// Keeps `guard` until the stream ends or is dropped: a permit is given back when the last message is out.
    #[must_use]
    pub fn hold(mut self, guard: impl Any + Send) -> Self {
        self.held.push(Box::new(guard));
        self
    }

    /// The stream, ended with `error` at `deadline` if it has not ended by then. Polls the clock for every message, so that a
    /// stream that is always ready is ended too.
    #[must_use]
    pub(crate) fn until(mut self, deadline: Instant, error: fn() -> Error) -> Self {
        let mut sleep = Box::pin(sleep_until(deadline));
        Self::new(futures_util::stream::poll_fn(move |cx| {
            if sleep.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Some(Err(error())));
            }
            Pin::new(&mut self).poll_next(cx)
        }))
    }

    /// The stream with each message passed through `f`.
    #[must_use]
    pub fn and_then<U: Send + 'static>(
        self,
        mut f: impl FnMut(T) -> Result<U, Error> + Send + 'static,
    ) -> Streaming<U> {
        Streaming::new(self.map(move |item| item.and_then(&mut f)))
    }
}

impl<T> Stream for Streaming<T> {
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let item = std::task::ready!(inner.as_mut().poll_next(cx));
        if !matches!(item, Some(Ok(_))) {
            self.inner = None;
            self.held.clear();
        }
        Poll::Ready(item)
    }
}

impl<T> fmt::Debug for Streaming<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streaming").field("ended", &self.inner.is_none()).finish_non_exhaustive()
    }
}

/// Sends into a [`Streaming`]. The stream ends when all senders are dropped; one that is dropped by a panic ends it with
/// `INTERNAL`, so that what was sent by then is not taken for all.
#[derive(Debug)]
pub struct Sender<T> {
    sender: mpsc::Sender<Result<T, Error>>,
    panicked: Arc<AtomicBool>,
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.panicked.store(true, Ordering::Release);
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), panicked: Arc::clone(&self.panicked) }
    }
}

impl<T> Sender<T> {
    /// Sends a message, or an error, which ends the stream.
    ///
    /// Cancel-safe: when the future is dropped the message was not sent.
    ///
    /// # Errors
    /// `CANCELLED` when nobody reads any more.
    pub async fn send(&self, message: Result<T, Error>) -> Result<(), Error> {
        self.sender.send(message).await.map_err(|_| Error::cancelled("the reader of the stream is gone"))
    }

    /// As [`Sender::send`], for threads that are no tasks.
    ///
    /// # Errors
    /// `CANCELLED` when nobody reads any more.
    #[cfg(feature = "cli")]
    pub(crate) fn blocking_send(&self, message: Result<T, Error>) -> Result<(), Error> {
        self.sender.blocking_send(message).map_err(|_| Error::cancelled("the reader of the stream is gone"))
    }

    /// Waits until nobody reads any more.
    pub async fn closed(&self) {
        self.sender.closed().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    #[tokio::test]
    async fn a_producer_that_panics_does_not_look_finished() {
        let (sender, mut stream) = Streaming::channel(1);
        let producer = tokio::spawn(async move {
            sender.send(Ok(1)).await.unwrap();
            panic!("on purpose");
        });
        assert_eq!(stream.message().await.unwrap(), Some(1));
        assert_eq!(stream.message().await.unwrap_err().code(), Code::Internal);
        assert!(producer.await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_is_always_ready_ends_at_its_deadline() {
        let deadline = Instant::now() + std::time::Duration::from_secs(1);
        let mut stream = Streaming::from_iter(0..).until(deadline, || Error::deadline_exceeded("over"));
        assert_eq!(stream.message().await.unwrap(), Some(0));
        tokio::time::advance(std::time::Duration::from_secs(2)).await;
        assert_eq!(stream.message().await.unwrap_err().code(), Code::DeadlineExceeded);
        assert_eq!(stream.message().await.unwrap(), None);
    }
}
