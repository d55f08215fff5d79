use std::{
    any::Any,
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context as TaskContext, Poll, ready},
};

use futures_core::Stream;
use futures_util::StreamExt as _;
use tokio::sync::mpsc;

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
    ///
    /// The stream ends well when the sender is dropped, and whoever drops it by mistake cuts it short unseen: a task that is
    /// aborted, a future that loses a `select!`, a `?`. Where the reader must know that it has all, use
    /// [`Streaming::channel_to_finish`].
    pub fn channel(capacity: usize) -> (Sender<T>, Self) {
        Self::channel_in(capacity, End::Dropped)
    }

    /// As [`Streaming::channel`], and the end has to be said: by [`Sender::finish`], or by an error that is sent. When the
    /// sender is dropped without either the stream ends with `INTERNAL`.
    ///
    /// ```
    /// use kit::{Code, Streaming};
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    /// # runtime.block_on(async {
    /// let (sender, mut whole) = Streaming::channel_to_finish(1);
    /// sender.send(Ok(1)).await?;
    /// sender.finish();
    /// assert_eq!((whole.message().await?, whole.message().await?), (Some(1), None));
    ///
    /// let (sender, mut cut) = Streaming::<i32>::channel_to_finish(1);
    /// tokio::spawn(async move { sender.closed().await }).abort();
    /// assert_eq!(cut.message().await.unwrap_err().code(), Code::Internal);
    /// # Ok::<(), kit::Error>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn channel_to_finish(capacity: usize) -> (Sender<T>, Self) {
        Self::channel_in(capacity, End::Missing)
    }

    fn channel_in(capacity: usize, end: End) -> (Sender<T>, Self) {
        let (sender, mut receiver) = mpsc::channel(capacity.max(1));
        let end = Arc::new(AtomicU8::new(end as u8));
        let seen = Arc::clone(&end);
        let stream = Self::new(futures_util::stream::poll_fn(move |cx| {
            let item = ready!(receiver.poll_recv(cx));
            let why = match seen.load(Ordering::Acquire) {
                _ if item.is_some() => None,
                end if end == End::Panicked as u8 => Some("the sender of the stream was dropped by a panic"),
                end if end == End::Missing as u8 => Some("the sender of the stream was dropped before it had finished"),
                _ => None,
            };
            Poll::Ready(match why {
                Some(why) => Some(Err(Error::internal("the service failed in the middle of the stream").with_log(why))),
                None => item,
            })
        }));
        (Sender { sender, end }, stream)
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
        let item = ready!(inner.as_mut().poll_next(cx));
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

/// What the end of a channel means.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
enum End {
    /// To be dropped is to have finished.
    Dropped,
    /// It has to be said, and was not yet.
    Missing,
    /// It was said.
    Finished,
    /// A sender was dropped by a panic.
    Panicked,
}

/// Sends into a [`Streaming`]. The stream ends when all senders are dropped; one that is dropped by a panic ends it with
/// `INTERNAL`, so that what was sent by then is not taken for all. A sender that is dropped otherwise, by a task that was
/// aborted too, looks finished, unless it is one of [`Streaming::channel_to_finish`].
#[derive(Debug)]
pub struct Sender<T> {
    sender: mpsc::Sender<Result<T, Error>>,
    // One of `End`.
    end: Arc<AtomicU8>,
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.end.store(End::Panicked as u8, Ordering::Release);
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), end: Arc::clone(&self.end) }
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

    /// Says that all is sent: what the stream of [`Streaming::channel_to_finish`] needs to end well. Other senders of it may
    /// still send; said once for all of them.
    pub fn finish(self) {
        // Not over a panic of another sender.
        let (missing, finished) = (End::Missing as u8, End::Finished as u8);
        let _ = self.end.compare_exchange(missing, finished, Ordering::AcqRel, Ordering::Acquire);
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

    #[tokio::test]
    async fn a_producer_that_is_aborted_does_not_look_finished_where_the_end_is_to_be_said() {
        let (sender, mut stream) = Streaming::channel_to_finish(1);
        let other = sender.clone();
        let producer = tokio::spawn(async move {
            sender.send(Ok(1)).await.unwrap();
            std::future::pending::<()>().await;
            sender.finish();
        });
        assert_eq!(stream.message().await.unwrap(), Some(1));
        producer.abort();
        drop(other);
        assert_eq!(stream.message().await.unwrap_err().code(), Code::Internal);
        assert_eq!(stream.message().await.unwrap(), None);
    }

    #[tokio::test]
    async fn one_that_has_finished_or_sent_an_error_is_believed() {
        let (sender, mut stream) = Streaming::channel_to_finish(2);
        sender.send(Ok(1)).await.unwrap();
        sender.finish();
        assert_eq!((stream.message().await.unwrap(), stream.message().await.unwrap()), (Some(1), None));

        let (sender, mut stream) = Streaming::<i32>::channel_to_finish(2);
        sender.send(Err(Error::not_found("no more"))).await.unwrap();
        drop(sender);
        assert_eq!(stream.message().await.unwrap_err().code(), Code::NotFound);

        let (sender, mut stream) = Streaming::<i32>::channel(2);
        drop(sender);
        assert_eq!(stream.message().await.unwrap(), None);
    }
}
