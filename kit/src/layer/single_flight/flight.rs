//! A call that several wait for.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use tokio::time::Instant;
use tower::Service;

use super::layer::{Figures, Shared};
use crate::{
    Code, Error, Metadata, Payload, Request, Response,
    endpoint::current,
    flights,
    layer::{
        degraded::tell,
        same::{shared_error, shared_metadata},
    },
};

/// What a service may be ahead of us in finding a deadline passed: on the wire it is rounded, and clocks tick in milliseconds.
const TICKS: Duration = Duration::from_millis(10);

pub(super) type Flights<Res> = flights::Flights<Landed<Res>, Begun<Res>>;
type Flight<Res> = flights::Flight<Landed<Res>, Begun<Res>>;

/// The outcome for all who wait.
pub(super) type Landed<Res> = Result<Answer<Res>, Error>;

/// An answer to be copied. Locked for the copy: a payload need not be one that threads can look at together.
pub(super) struct Answer<Res> {
    metadata: Metadata,
    message: Mutex<Res>,
}

impl<Res: Payload> Answer<Res> {
    fn copy(&self) -> Result<Response<Res>, Error> {
        let message = self.message.lock().unwrap_or_else(PoisonError::into_inner).try_clone();
        let message = message.ok_or_else(|| Error::internal("a stream can't be shared"))?;
        Ok(Response::new(message).with_metadata(self.metadata.clone()))
    }
}

/// A call that was begun, by whoever. It goes on where it is when another polls it.
pub(super) struct Begun<Res> {
    work: Pin<Box<dyn Future<Output = Result<Response<Res>, Error>> + Send>>,
    /// The deadline of the one who began it, which is also that of the call.
    deadline: Option<Instant>,
    _running: Running,
}

/// Counted while the call runs.
struct Running(Arc<Figures>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<Res> Begun<Res> {
    /// Whether an outcome is due to the one who began the call, and so none for the others.
    fn is_own(&self, error: &Error) -> bool {
        match error.code() {
            Code::Cancelled => true,
            // Of a service that is slower than its own limit all are told at once, and don't try one after the other.
            Code::DeadlineExceeded => self.deadline.is_some_and(|deadline| deadline <= Instant::now() + TICKS),
            _ => false,
        }
    }
}

/// Polls a call that was begun; dropped before it is done, it leaves the call to the next.
struct Relay<'a, Res> {
    flight: &'a Flight<Res>,
    begun: Option<Begun<Res>>,
}

impl<Res> Future for Relay<'_, Res> {
    /// The outcome, and whether it is due to the one who began.
    type Output = (Result<Response<Res>, Error>, bool);

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let Some(begun) = &mut self.begun else {
            return Poll::Ready((Err(Error::internal("polled after it was done")), true));
        };
        let Poll::Ready(result) = begun.work.as_mut().poll(cx) else { return Poll::Pending };
        let own = result.as_ref().err().is_some_and(|error| begun.is_own(error));
        self.begun = None;
        Poll::Ready((result, own))
    }
}

impl<Res> Drop for Relay<'_, Res> {
    fn drop(&mut self) {
        // A call that panicked can't go on.
        if let Some(begun) = self.begun.take().filter(|_| !std::thread::panicking()) {
            self.flight.leave(begun);
        }
    }
}

/// What one caller has for the flight: it begins the call if it has to.
struct Start<S, Req> {
    service: S,
    request: Request<Req>,
}

impl<Res: Payload> Shared<Res> {
    /// Begins the call, as part of which its log lines are written, whoever polls it.
    fn begin<S, Req>(&self, start: Start<S, Req>) -> Begun<Res>
    where
        S: Service<Request<Req>, Response = Response<Res>>,
        S::Error: Into<Error>,
        S::Future: Send + 'static,
    {
        let Start { mut service, request } = start;
        let deadline = request.context().deadline();
        self.figures.begun.fetch_add(1, Ordering::Relaxed);
        self.figures.running.fetch_add(1, Ordering::Relaxed);
        let running = Running(Arc::clone(&self.figures));
        let call = service.call(request);
        let work = async move { call.await.map_err(Into::into) };
        let work: Pin<Box<dyn Future<Output = _> + Send>> = match current::get() {
            Some(ids) => Box::pin(current::scope(ids, work)),
            None => Box::pin(work),
        };
        Begun { work, deadline, _running: running }
    }

    /// Gets the outcome of the call of this key that runs, or makes it.
    pub(super) async fn fly<S, Req>(
        &self,
        key: &[u8],
        service: S,
        request: Request<Req>,
    ) -> Result<Response<Res>, Error>
    where
        S: Service<Request<Req>, Response = Response<Res>> + Send,
        S::Error: Into<Error>,
        S::Future: Send + 'static,
        Req: Payload,
    {
        let cx = request.context().clone();
        let start = Start { service, request };
        let most = self.config().max_keys;
        let Some(seat) = self.flights.join_below(key, most) else {
            self.figures.apart.fetch_add(1, Ordering::Relaxed);
            let Start { mut service, request } = start;
            let call = service.call(request);
            return call.await.map_err(Into::into);
        };
        let flight = &*seat.flight;
        // What the one who fills the cell keeps for itself: metadata of its own call, the error with its causes.
        let mut filled = None;
        let fill = async {
            let mut start = Some(start);
            loop {
                let (begun, mine) = match (flight.take(), start.take()) {
                    (Some(begun), mine) => {
                        start = mine;
                        self.figures.taken_over.fetch_add(1, Ordering::Relaxed);
                        tell(&cx, || "goes on with an equal call, whose caller went away".to_owned());
                        (begun, false)
                    }
                    (None, Some(mine)) => (self.begin(mine), true),
                    (None, None) => return Err(Err(Error::internal("a call was begun twice"))),
                };
                let (result, own) = Relay { flight, begun: Some(begun) }.await;
                match result {
                    // It ended because of one who may be gone; this caller has its own time.
                    Err(_) if own && !mine => {}
                    result if own || (mine && seat.end_if_alone()) => return Err(result),
                    Ok(answer) => {
                        let (metadata, message) = answer.into_parts();
                        let shared = shared_metadata(&metadata);
                        filled = Some(Ok(if mine { metadata } else { shared.clone() }));
                        return Ok(Ok(Answer { metadata: shared, message: Mutex::new(message) }));
                    }
                    Err(error) => {
                        let shared = shared_error(&error);
                        filled = Some(Err(if mine { error } else { shared_error(&error) }));
                        return Ok(Err(shared));
                    }
                }
            }
        };
        let landed = match flight.outcome.get_or_try_init(|| fill).await {
            Ok(landed) => landed,
            Err(own) => return own,
        };
        match (landed, filled) {
            (Ok(answer), Some(Ok(metadata))) => Ok(answer.copy()?.with_metadata(metadata)),
            (_, Some(Err(error))) => Err(error),
            (landed, _) => {
                self.figures.shared.fetch_add(1, Ordering::Relaxed);
                tell(&cx, || "got the outcome of an equal call".to_owned());
                landed.as_ref().map_err(shared_error)?.copy()
            }
        }
    }
}
