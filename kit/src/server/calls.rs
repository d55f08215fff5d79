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
use http::{HeaderValue, Version, header};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tower::ServiceExt as _;

use super::port::App;
use crate::{Peer, transport::http::Body};

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
        ConnectionCalls(Arc::new(Here { running: AtomicUsize::new(0), all: Arc::clone(&self.0) }))
    }
}

impl ConnectionCalls {
    /// How many calls run on this connection.
    pub(super) fn running_here(&self) -> usize {
        self.0.running.load(Ordering::Relaxed)
    }

    /// Answers a request, counted.
    pub(super) fn answer(
        &self,
        app: &App,
        peer: Arc<Peer>,
        mut request: http::Request<Incoming>,
    ) -> impl Future<Output = Result<http::Response<Counted>, Infallible>> + use<> {
        let call = Call::begin(&self.0);
        let http1 = request.version() <= Version::HTTP_11;
        request.extensions_mut().insert(peer);
        let answering = app.clone().oneshot(request.map(Body::new));
        async move {
            let mut response = answering.await?;
            if http1 && call.0.all.leaving.load(Ordering::Relaxed) {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response.map(|body| Counted { body, _call: call }))
        }
    }
}

struct Call(Arc<Here>);

impl Call {
    fn begin(here: &Arc<Here>) -> Self {
        here.all.running.fetch_add(1, Ordering::Relaxed);
        here.running.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(here))
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
    body: Body,
    _call: Call,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = <Body as http_body::Body>::Error;

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
