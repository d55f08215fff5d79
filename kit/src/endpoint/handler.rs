//! The innermost service: an async function.

use std::{
    future::Future,
    pin::Pin,
    task::{Context as TaskContext, Poll, ready},
};

use pin_project_lite::pin_project;

use super::{
    Payload, Request, Response,
    context::Answer,
    erased::{Call, CallFuture},
};
use crate::{Context, Error};

pub(super) struct Handler<F>(pub(super) F);

impl<F, Fut, Req, Res> Call<Req, Res> for Handler<F>
where
    F: Fn(Context, Req) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Res, Error>> + Send + 'static,
    Req: Payload,
    Res: Payload,
{
    fn call(&self, request: Request<Req>) -> CallFuture<Res> {
        let (cx, message) = request.into_parts();
        CallFuture::new(HandlerFuture { answer: cx.answer(), future: (self.0)(cx, message) })
    }
}

pin_project! {
    struct HandlerFuture<Fut> {
        answer: Answer,
        #[pin]
        future: Fut,
    }
}

impl<Fut, Res> Future for HandlerFuture<Fut>
where
    Fut: Future<Output = Result<Res, Error>>,
{
    type Output = Result<Response<Res>, Error>;

    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.future.poll(task));
        let metadata = this.answer.take();
        Poll::Ready(match (result, metadata) {
            (Ok(message), None) => Ok(Response::new(message)),
            (Ok(message), Some(metadata)) => Ok(Response::new(message).with_metadata(metadata)),
            (Err(error), None) => Err(error.processed()),
            (Err(error), Some(metadata)) => Err(error.processed().with_metadata(metadata)),
        })
    }
}
