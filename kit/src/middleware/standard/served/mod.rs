//! The chain of a service, as one service.
//!
//! Each layer of it is an ordinary Tower layer for who uses it alone. A chain of those would move the future of all that is inside once
//! for each of them, read the clock again and again, and count the references to what every layer holds. Here the same policies are
//! asked one after the other: those who [`watch`] a call from outside, and the [`gates`] that it has to pass. The clock is read
//! when a call begins and when it ends, and all are told the same times.

mod gates;
mod inside;
mod ongoing;
mod watch;

use std::{pin::pin, sync::Arc};

use tokio::time::Instant;

pub(super) use self::{gates::Gates, watch::Watchers};
use self::{gates::Left, inside::Inside, ongoing::Ongoing};
use crate::{
    Endpoint, Error, Payload, Request, Response,
    endpoint::erased::{Call, CallFuture},
    layer::{
        timeout::{Side, StreamLimits, listening},
        track::Open,
    },
};

/// A method with its chain.
pub(super) struct Served<Req, Res>(Arc<Chain<Req, Res>>);

struct Chain<Req, Res> {
    watchers: Watchers,
    gates: Gates,
    inner: Endpoint<Req, Res>,
}

impl<Req: Payload, Res: Payload> Served<Req, Res> {
    pub(super) fn new(watchers: Watchers, gates: Gates, inner: Endpoint<Req, Res>) -> Self {
        Self(Arc::new(Chain { watchers, gates, inner }))
    }
}

impl<Req: Payload, Res: Payload> Call<Req, Res> for Served<Req, Res> {
    fn call(&self, request: Request<Req>) -> CallFuture<Res> {
        let (chain, mut arrived) = (Arc::clone(&self.0), Some(request));
        // The request stays in one place until it is passed on: an argument of an async function would have a second one.
        CallFuture::new(async move { chain.serve(&mut arrived).await })
    }
}

impl<Req: Payload, Res: Payload> Chain<Req, Res> {
    /// One call, from the outside in and out again.
    async fn serve(&self, arrived: &mut Option<Request<Req>>) -> Result<Response<Res>, Error> {
        let Self { watchers, gates, inner } = self;
        let start = Instant::now();
        let Some(request) = arrived.as_mut() else { return Err(polled_again()) };
        let mut watch = watchers.begin(request, start);
        if watchers.keeps::<Req>() {
            *arrived = arrived.take().map(|request| watch.keep(request));
        }
        let Some(request) = arrived.as_mut() else { return Err(polled_again()) };
        let deadline = match gates.timeout.begin(request.context_mut(), start, Side::Server) {
            Ok(deadline) => deadline,
            Err(late) => return watch.end(Err(late), start),
        };
        let idle = if Req::IS_STREAM || Res::IS_STREAM { gates.timeout.idle() } else { None };
        if Req::IS_STREAM {
            *arrived = arrived.take().map(|request| listening(request, idle));
        }
        let mut left = Left::default();
        let result = {
            let work = pin!(Some(gates.pass(arrived, inner, start, &mut left)));
            let wants_stacks = watch.wants_stacks();
            Inside::new(work, watch.call(), wants_stacks, deadline).await
        };
        match result {
            Ok(response) if Res::IS_STREAM => {
                let limits = StreamLimits::of_answers(deadline, idle);
                let (onlookers, kept) = (Open::streaming(watch.go_on()), Open::streaming(left.kept));
                Ok(Ongoing { onlookers, limits, kept }.around(response))
            }
            result => watch.end(result, left.at.unwrap_or_else(Instant::now)),
        }
    }
}

#[cold]
fn polled_again() -> Error {
    Error::internal("polled after it was done")
}
