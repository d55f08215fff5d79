use std::{
    future::Future,
    pin::Pin,
    task::{Context as TaskContext, Poll, ready},
};

use futures_core::Stream as _;
use pin_project_lite::pin_project;
use tower::Service;

use super::hook::catch;
use crate::{Error, Message, Payload, Request, Response, Streaming, endpoint::MapStream};

/// Recovers panics: see the [module](super).
#[derive(Clone, Debug)]
pub struct Recover<S> {
    pub(super) inner: S,
}

impl<S, Req, Res> Service<Request<Req>> for Recover<S>
where
    S: Service<Request<Req>, Response = Response<Res>>,
    S::Error: Into<Error>,
    Res: Payload,
{
    type Response = Response<Res>;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        catch(|| self.inner.poll_ready(cx))
            .map_or_else(|error| Poll::Ready(Err(error)), |ready| ready.map_err(Into::into))
    }

    fn call(&mut self, request: Request<Req>) -> Self::Future {
        match catch(|| self.inner.call(request)) {
            Ok(inner) => ResponseFuture { state: State::Running { inner } },
            Err(error) => ResponseFuture { state: State::Panicked { error: Some(error) } },
        }
    }
}

pin_project! {
    /// The future of a call whose panics are recovered. Dropping it drops the call.
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
        // Making the inner future panicked.
        Panicked { error: Option<Error> },
        Running { #[pin] inner: F },
    }
}

impl<F, Res, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Res>, E>>,
    E: Into<Error>,
    Res: Payload,
{
    type Output = Result<Response<Res>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let inner = match self.project().state.project() {
            Projected::Panicked { error } => {
                return Poll::Ready(Err(error.take().unwrap_or_else(|| Error::internal("polled after it was done"))));
            }
            Projected::Running { inner } => inner,
        };
        Poll::Ready(match catch(|| inner.poll(cx)) {
            Ok(poll) => match ready!(poll) {
                Ok(response) if Res::IS_STREAM => Ok(recovered(response)),
                Ok(response) => Ok(response),
                Err(error) => Err(error.into()),
            },
            Err(error) => Err(error),
        })
    }
}

/// A stream of answers whose panics are recovered.
fn recovered<Res: Payload>(response: Response<Res>) -> Response<Res> {
    response.map(|payload| payload.map_stream(RecoverStream))
}

struct RecoverStream;

impl MapStream for RecoverStream {
    fn map<M: Message>(self, mut stream: Streaming<M>) -> Streaming<M> {
        Streaming::new(futures_util::stream::poll_fn(move |cx| match catch(|| Pin::new(&mut stream).poll_next(cx)) {
            Ok(poll) => poll,
            Err(error) => Poll::Ready(Some(Err(error))),
        }))
    }
}

#[cfg(test)]
mod tests {
    use tower::Layer as _;

    use super::*;
    use crate::{Code, Response, layer::recover::RecoverLayer};

    struct NeverReady;

    impl Service<Request<String>> for NeverReady {
        type Response = Response<String>;
        type Error = Error;
        type Future = std::future::Ready<Result<Response<String>, Error>>;

        fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
            panic!("not ready")
        }

        fn call(&mut self, _: Request<String>) -> Self::Future {
            std::future::ready(Err(Error::unavailable("never called")))
        }
    }

    #[tokio::test]
    async fn a_panic_before_the_call_is_recovered_too() {
        let mut service = RecoverLayer::new().layer(NeverReady);
        let error = std::future::poll_fn(|cx| service.poll_ready(cx)).await.unwrap_err();
        assert_eq!((error.code(), error.is_panic()), (Code::Internal, true));
    }
}
