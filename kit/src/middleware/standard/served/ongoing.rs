//! A stream of answers that has begun: what of the chain goes on with it, in one stream around it.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream as _;

use super::{gates::Kept, watch::Onlookers};
use crate::{
    Error, Message, Payload, Response, Streaming,
    endpoint::MapStream,
    layer::{
        recover::catch,
        timeout::StreamLimits,
        track::{Open, Outcome},
    },
};

/// From the outside in.
pub(super) struct Ongoing {
    pub(super) onlookers: Open<Onlookers>,
    pub(super) limits: StreamLimits,
    pub(super) kept: Open<Kept>,
}

impl Ongoing {
    /// The answer with all of it around the messages.
    pub(super) fn around<Res: Payload>(self, response: Response<Res>) -> Response<Res> {
        response.map(|messages| messages.map_stream(self))
    }
}

impl MapStream for Ongoing {
    fn map<M: Message>(mut self, stream: Streaming<M>) -> Streaming<M> {
        let mut stream = Some(stream);
        Streaming::new(futures_util::stream::poll_fn(move |cx| {
            let Self { onlookers, limits, kept } = &mut self;
            onlookers.poll(cx, |cx| {
                let polled = catch(|| {
                    let polled = limits.poll(cx, |cx| kept.poll(cx, |cx| next(&mut stream, cx)));
                    if !matches!(polled, Poll::Pending | Poll::Ready(Some(Ok(_)))) {
                        // What it does at last belongs to the call, too.
                        stream = None;
                    }
                    polled
                });
                let polled = polled.unwrap_or_else(|panic| {
                    let _ = catch(|| stream = None);
                    Poll::Ready(Some(Err(panic)))
                });
                // The error of a limit, or a panic: those inside have not seen it.
                if let Poll::Ready(Some(Err(error))) = &polled {
                    kept.end(Outcome::Failed(error));
                }
                polled
            })
        }))
    }
}

fn next<M>(stream: &mut Option<Streaming<M>>, cx: &mut Context<'_>) -> Poll<Option<Result<M, Error>>> {
    stream.as_mut().map_or(Poll::Ready(None), |stream| Pin::new(stream).poll_next(cx))
}
