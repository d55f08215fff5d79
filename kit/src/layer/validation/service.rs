use std::{
    future::Future,
    pin::Pin,
    task::{Context as TaskContext, Poll},
};

use pin_project_lite::pin_project;
use tower::Service;

use super::Validation;
use crate::{Error, Message, Payload, Request, Response, Streaming, endpoint::MapStream};

/// Refuses requests that break the rules of their `.proto` file: see the [module](super).
#[derive(Clone, Debug)]
pub struct Validated<S> {
    pub(super) inner: S,
    /// `None` where nothing is checked.
    pub(super) validation: Option<Validation>,
}

impl<S, Req, Res> Service<Request<Req>> for Validated<S>
where
    S: Service<Request<Req>, Response = Response<Res>>,
    S::Error: Into<Error>,
    Req: Payload,
{
    type Response = Response<Res>;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Req>) -> Self::Future {
        let state = match &self.validation {
            None => State::Running { inner: self.inner.call(request) },
            Some(validation) => match validation.check(request) {
                Ok(request) => State::Running { inner: self.inner.call(request) },
                Err(error) => State::Refused { error: Some(error) },
            },
        };
        ResponseFuture { state }
    }
}

impl Validation {
    /// The request, if it breaks no rules; one that is a stream with each of its messages checked as it comes.
    #[inline]
    pub(crate) fn check<Req: Payload>(&self, request: Request<Req>) -> Result<Request<Req>, Error> {
        if !Req::IS_RULED {
            return Ok(request);
        }
        if Req::IS_STREAM {
            return Ok(request.map(|payload| payload.map_stream(Each(self.clone()))));
        }
        self.refuse(request.message())?;
        Ok(request)
    }

    /// The error of a message that breaks rules.
    #[inline]
    pub(crate) fn refuse(&self, message: &impl Payload) -> Result<(), Error> {
        self.refusal(message).map_or(Ok(()), Err)
    }
}

/// Checks each message of a stream as it comes.
struct Each(Validation);

impl MapStream for Each {
    fn map<M: Message>(self, stream: Streaming<M>) -> Streaming<M> {
        // The stream ends after its first error.
        stream.and_then(move |message| match self.0.refusal(&message) {
            Some(error) => Err(error),
            None => Ok(message),
        })
    }
}

pin_project! {
    /// The future of a call whose request is checked. Dropping it drops the call.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = Projected]
    #[derive(Debug)]
    enum State<F> {
        // The request breaks rules: there is no call.
        Refused { error: Option<Error> },
        Running { #[pin] inner: F },
    }
}

impl<F, Res, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Res>, E>>,
    E: Into<Error>,
{
    type Output = Result<Response<Res>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            Projected::Running { inner } => inner.poll(cx).map_err(Into::into),
            Projected::Refused { error } => {
                Poll::Ready(Err(error.take().unwrap_or_else(|| Error::internal("polled after it was done"))))
            }
        }
    }
}
