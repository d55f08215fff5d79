//! Following a call to its end, for layers that count, time or judge calls.
//!
//! A call does not end where its future does: a stream goes on after the answer began, and a caller may go away before either.
//! A layer that gives a [`Track`] to each call, and wraps the future of the inner service in [`Tracked`], is told of the end once,
//! whichever way it comes.
//!
//! ```
//! use std::task::{Context, Poll};
//! use kit::{Endpoint, Error, Method, MethodInfo, MethodKind, Payload, Request, Response};
//! use kit::layer::track::{Outcome, Track, Tracked};
//! use tower::Service;
//!
//! /// Prints how each call ended.
//! #[derive(Clone)]
//! struct Print<S>(S);
//!
//! struct Call;
//!
//! impl Track for Call {
//!     fn end(self, outcome: Outcome<'_>) {
//!         match outcome {
//!             Outcome::Answered => println!("answered"),
//!             Outcome::Failed(error) => println!("failed: {error}"),
//!             Outcome::Dropped => println!("the caller went away"),
//!         }
//!     }
//! }
//!
//! impl<S, Req, Res> Service<Request<Req>> for Print<S>
//! where
//!     S: Service<Request<Req>, Response = Response<Res>>,
//!     S::Error: Into<Error>,
//!     Res: Payload,
//! {
//!     type Response = Response<Res>;
//!     type Error = Error;
//!     type Future = Tracked<S::Future, Call>;
//!
//!     fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
//!         self.0.poll_ready(cx).map_err(Into::into)
//!     }
//!
//!     fn call(&mut self, request: Request<Req>) -> Self::Future {
//!         Tracked::new(self.0.call(request), Call)
//!     }
//! }
//!
//! let method = Method::from(MethodInfo::new("demo.Demo", "Say", MethodKind::Unary));
//! let say = Endpoint::from_fn(method, |_, text: String| async move { Ok(text) }).wrap([], Print);
//! # let _ = say;
//! ```

use std::{
    future::Future,
    pin::Pin,
    task::{Context as TaskContext, Poll, ready},
};

use futures_core::Stream as _;
use pin_project_lite::pin_project;

use crate::{Error, Message, Payload, Response, Streaming, endpoint::MapStream};

/// How a call ended.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// With its answer; with all of it where the answer is a stream.
    Answered,
    /// With an error, in mid-stream too.
    Failed(&'a Error),
    /// It was dropped: the caller went away, or gave up.
    Dropped,
}

impl<'a> Outcome<'a> {
    /// The error, if it ended with one.
    pub fn error(self) -> Option<&'a Error> {
        match self {
            Self::Failed(error) => Some(error),
            Self::Answered | Self::Dropped => None,
        }
    }
}

/// What a layer knows of one call while it runs.
pub trait Track: Send + 'static {
    /// The answer is a stream, and it has begun.
    fn streaming(&mut self) {}

    /// The next message of a stream is not there yet.
    fn waiting<M: Message>(&mut self) {}

    /// A message of the answer: the only one, or the next of a stream.
    fn message<P: Payload>(&mut self, message: &P) {
        let _ = message;
    }

    /// Polls the stream of answers: for what is to be so while the service works on it. The future of the call is for the layer
    /// itself to wrap.
    fn within<T>(&mut self, poll: impl FnOnce() -> T) -> T {
        poll()
    }

    /// The call is over. Called once.
    fn end(self, outcome: Outcome<'_>);
}

pin_project! {
    /// The future of a call that is followed to its end. Dropping it drops the call, which ends as [`Outcome::Dropped`].
    #[derive(Debug)]
    pub struct Tracked<F, T: Track> {
        #[pin]
        state: State<F, T>,
    }
}

pin_project! {
    #[project = Projected]
    #[derive(Debug)]
    enum State<F, T: Track> {
        // The layer answered in the place of the service.
        Refused { error: Option<Error> },
        Running { #[pin] inner: F, track: Open<T> },
    }
}

impl<F, T: Track> Tracked<F, T> {
    /// Follows the call that `inner` makes; with `None` nothing is followed.
    pub fn new(inner: F, track: impl Into<Option<T>>) -> Self {
        Self { state: State::Running { inner, track: Open(track.into()) } }
    }

    /// Follows the call that `make` makes, already while it is made: where that panics, it ends as [`Outcome::Dropped`].
    pub fn start(track: T, make: impl FnOnce() -> F) -> Self {
        let track = Open(Some(track));
        Self { state: State::Running { inner: make(), track } }
    }

    /// A call that was not made: it is answered with `error`, and there is nothing to follow.
    pub fn refused(error: Error) -> Self {
        Self { state: State::Refused { error: Some(error) } }
    }
}

impl<F, T, Res, E> Future for Tracked<F, T>
where
    F: Future<Output = Result<Response<Res>, E>>,
    E: Into<Error>,
    Res: Payload,
    T: Track,
{
    type Output = Result<Response<Res>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let (inner, track) = match self.project().state.project() {
            Projected::Running { inner, track } => (inner, track),
            Projected::Refused { error } => {
                return Poll::Ready(Err(error.take().unwrap_or_else(|| Error::internal("polled after it was done"))));
            }
        };
        // An answer may be large, and this is in every layer: it is moved once.
        Poll::Ready(match ready!(inner.poll(cx)) {
            Ok(response) => Ok(match track.0.take() {
                None => response,
                Some(track) if Res::IS_STREAM => follow(response, track),
                Some(mut track) => {
                    track.message(response.message());
                    track.end(Outcome::Answered);
                    response
                }
            }),
            Err(error) => {
                let error = error.into();
                if let Some(track) = track.0.take() {
                    track.end(Outcome::Failed(&error));
                }
                Err(error)
            }
        })
    }
}

/// Follows a stream of answers that has begun.
fn follow<Res: Payload>(response: Response<Res>, track: impl Track) -> Response<Res> {
    response.map(|payload| payload.map_stream(Open::streaming(track)))
}

/// A call that has not ended.
#[derive(Debug)]
pub(crate) struct Open<T: Track>(Option<T>);

impl<T: Track> Open<T> {
    /// One whose answer is a stream that has begun.
    pub(crate) fn streaming(mut track: T) -> Self {
        track.streaming();
        Self(Some(track))
    }

    /// The call is over, if it was not yet.
    pub(crate) fn end(&mut self, outcome: Outcome<'_>) {
        if let Some(track) = self.0.take() {
            track.end(outcome);
        }
    }

    /// The next message of the stream, of which the track is told. There is none after the end.
    #[inline]
    pub(crate) fn poll<M: Message>(
        &mut self,
        cx: &mut TaskContext<'_>,
        next: impl FnOnce(&mut TaskContext<'_>) -> Poll<Option<Result<M, Error>>>,
    ) -> Poll<Option<Result<M, Error>>> {
        let Some(track) = &mut self.0 else { return Poll::Ready(None) };
        let polled = track.within(|| next(cx));
        match &polled {
            Poll::Pending => track.waiting::<M>(),
            Poll::Ready(Some(Ok(message))) => track.message(message),
            Poll::Ready(end) => {
                let outcome = match end {
                    Some(Err(error)) => Outcome::Failed(error),
                    _ => Outcome::Answered,
                };
                self.end(outcome);
            }
        }
        polled
    }
}

impl<T: Track> Drop for Open<T> {
    fn drop(&mut self) {
        self.end(Outcome::Dropped);
    }
}

impl<T: Track> MapStream for Open<T> {
    fn map<M: Message>(mut self, mut stream: Streaming<M>) -> Streaming<M> {
        Streaming::new(futures_util::stream::poll_fn(move |cx| self.poll(cx, |cx| Pin::new(&mut stream).poll_next(cx))))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    type Seen = Arc<Mutex<Vec<String>>>;

    struct Note(Seen);

    impl Track for Note {
        fn streaming(&mut self) {
            self.0.lock().unwrap().push("streaming".to_owned());
        }

        fn waiting<M: Message>(&mut self) {
            self.0.lock().unwrap().push(format!("waiting for {}", M::NAME));
        }

        fn message<P: Payload>(&mut self, message: &P) {
            self.0.lock().unwrap().push(format!("{} bytes", message.encoded_len()));
        }

        fn within<T>(&mut self, poll: impl FnOnce() -> T) -> T {
            self.0.lock().unwrap().push("poll".to_owned());
            poll()
        }

        fn end(self, outcome: Outcome<'_>) {
            self.0.lock().unwrap().push(format!("{outcome:?}"));
        }
    }

    fn track<F: Future>(inner: F) -> (Tracked<F, Note>, Seen) {
        let seen = Seen::default();
        (Tracked::new(inner, Note(Arc::clone(&seen))), seen)
    }

    fn taken(seen: &Seen) -> Vec<String> {
        std::mem::take(&mut *seen.lock().unwrap())
    }

    #[tokio::test]
    async fn a_message_ends_its_call() {
        let (call, seen) = track(async { Ok::<_, Error>(Response::new("four".to_owned())) });
        call.await.unwrap();
        assert_eq!(taken(&seen), ["6 bytes", "Answered"]);
    }

    #[tokio::test]
    async fn an_error_ends_its_call() {
        let (call, seen) = track(async { Err::<Response<String>, _>(Error::not_found("no book")) });
        call.await.unwrap_err();
        assert!(taken(&seen)[0].starts_with("Failed"));
    }

    #[tokio::test]
    async fn a_refused_call_has_no_end() {
        type Inner = std::future::Ready<Result<Response<String>, Error>>;
        let refused = Tracked::<Inner, Note>::refused(Error::unavailable("not now"));
        assert_eq!(refused.await.unwrap_err().message(), "not now");
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_ends_the_call_once() {
        let (call, seen) = track(std::future::pending::<Result<Response<String>, Error>>());
        let mut call = Box::pin(call);
        assert!(futures_util::poll!(&mut call).is_pending());
        drop(call);
        assert_eq!(taken(&seen), ["Dropped"]);
    }

    #[tokio::test]
    async fn a_stream_ends_its_call_when_it_ends() {
        let answer = Streaming::from_iter(["a".to_owned(), "bc".to_owned()]);
        let (call, seen) = track(async { Ok::<_, Error>(Response::new(answer)) });
        let mut answer = call.await.unwrap().into_message();
        assert_eq!(taken(&seen), ["streaming"]);
        while answer.message().await.unwrap().is_some() {}
        assert_eq!(taken(&seen), ["poll", "3 bytes", "poll", "4 bytes", "poll", "Answered"]);
        drop(answer);
        assert!(taken(&seen).is_empty());
    }

    #[tokio::test]
    async fn a_stream_that_fails_or_is_left_ends_its_call() {
        let failing = Streaming::<String>::new(futures_util::stream::iter([Err(Error::unavailable("away"))]));
        let (call, seen) = track(async { Ok::<_, Error>(Response::new(failing)) });
        call.await.unwrap().into_message().message().await.unwrap_err();
        assert!(taken(&seen)[2].starts_with("Failed"));

        let endless = Streaming::<String>::new(futures_util::stream::pending());
        let (call, seen) = track(async { Ok::<_, Error>(Response::new(endless)) });
        let mut answer = call.await.unwrap().into_message();
        assert!(futures_util::poll!(Box::pin(answer.message())).is_pending());
        drop(answer);
        assert_eq!(taken(&seen), ["streaming", "poll", "waiting for google.protobuf.StringValue", "Dropped"]);
    }
}
