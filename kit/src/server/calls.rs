//! The calls that run, from the head of the request to the end of the answer.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, header};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

use super::port::App;
use crate::{
    Peer,
    transport::http::bodies::{AnswerBody, RequestBody},
};

/// Counts calls, and tells HTTP/1.1 clients to use another connection once the server is about to stop. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Calls(Arc<State>);

#[derive(Default)]
struct State {
    running: AtomicUsize,
    leaving: AtomicBool,
}

/// The same for one connection, whose calls are counted by themselves, too.
#[derive(Clone)]
pub(super) struct ConnectionCalls(Arc<Here>);

struct Here {
    running: AtomicUsize,
    /// A write waits for the client.
    writing: AtomicBool,
    /// Changes with each call that begins and each write that was waited for.
    activity: AtomicUsize,
    all: Arc<State>,
}

impl Calls {
    /// How many calls run. A call is over when its whole answer was handed to its connection.
    pub(super) fn running(&self) -> usize {
        self.0.running.load(Ordering::Relaxed)
    }

    /// From now on HTTP/1.1 answers have `connection: close`: a client that obeys sends no further request on a connection
    /// that is about to go. HTTP/2 has GOAWAY for that, which loses nothing.
    pub(super) fn leave(&self) {
        self.0.leaving.store(true, Ordering::Relaxed);
    }

    /// The calls of a new connection.
    pub(super) fn of_connection(&self) -> ConnectionCalls {
        ConnectionCalls(Arc::new(Here {
            running: AtomicUsize::new(0),
            writing: AtomicBool::new(false),
            activity: AtomicUsize::new(0),
            all: Arc::clone(&self.0),
        }))
    }
}

impl ConnectionCalls {
    /// How many calls run on this connection.
    pub(super) fn running_here(&self) -> usize {
        self.0.running.load(Ordering::Relaxed)
    }

    /// A call that begins.
    pub(super) fn begin(&self) -> Call {
        Call::begin(&self.0)
    }

    /// `None` while there is something to do on this connection; else a number that is another one after each call, and after
    /// each write that the client kept waiting.
    pub(super) fn idle_since(&self) -> Option<usize> {
        let busy = self.running_here() > 0 || self.0.writing.load(Ordering::Relaxed);
        (!busy).then(|| self.0.activity.load(Ordering::Relaxed))
    }

    /// A write waits for the client, or does no longer. An answer is over for its call when the connection has it, which may be
    /// long before the client has.
    pub(super) fn write_waits(&self, waits: bool) {
        self.0.writing.store(waits, Ordering::Relaxed);
        self.0.act();
    }

    /// Answers a request of HTTP/1.1, counted.
    pub(super) fn answer(
        &self,
        app: &App,
        peer: &Arc<Peer>,
        request: http::Request<Incoming>,
    ) -> impl Future<Output = Result<http::Response<Counted>, Infallible>> + use<> {
        let call = self.begin();
        let answering = app.answer(request.map(RequestBody::Connection), peer);
        async move {
            let mut response = answering.await;
            if call.0.all.leaving.load(Ordering::Relaxed) {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response.map(|body| Counted { body, _call: call }))
        }
    }
}

/// A call that is counted for as long as this is there.
pub(super) struct Call(Arc<Here>);

impl Call {
    fn begin(here: &Arc<Here>) -> Self {
        here.all.running.fetch_add(1, Ordering::Relaxed);
        here.running.fetch_add(1, Ordering::Relaxed);
        here.act();
        Self(Arc::clone(here))
    }
}

impl Here {
    fn act(&self) {
        // Only the task of the connection does this: no need for a locked addition.
        self.activity.store(self.activity.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.all.running.fetch_sub(1, Ordering::Relaxed);
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The body of an answer, whose call runs for as long as it is sent.
pub(super) struct Counted {
    body: AnswerBody,
    _call: Call,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = <AnswerBody as http_body::Body>::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }
    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, timeout};

    use super::*;
    use crate::server::silence::silence;

    const LIMIT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_calls_is_silent() {
        let calls = Calls::default().of_connection();
        let started = Instant::now();
        silence(&calls, LIMIT).await;
        assert_eq!(started.elapsed().as_secs(), LIMIT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_silent_only_some_time_after_its_last_call() {
        let calls = Calls::default().of_connection();
        let mut silent = std::pin::pin!(silence(&calls, LIMIT));
        let running = Call::begin(&calls.0);
        assert!(timeout(LIMIT * 10, silent.as_mut()).await.is_err());
        drop(running);
        // A short one in each interval is enough.
        for _ in 0..5 {
            assert!(timeout(LIMIT / 2, silent.as_mut()).await.is_err());
            drop(Call::begin(&calls.0));
        }
        let last = Instant::now();
        silent.await;
        assert!((LIMIT..=LIMIT * 2).contains(&last.elapsed()), "{:?}", last.elapsed());
    }
}
