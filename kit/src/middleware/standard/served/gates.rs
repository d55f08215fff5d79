//! What a call has to pass before it is made, and gives back when it is over.

use std::sync::Arc;

use tokio::time::Instant;

use super::polled_again;
use crate::{
    Endpoint, Error, Payload, Request, Response,
    layer::{
        adaptive::bbr,
        auth, authorize,
        breaker::{self, Breaker},
        concurrency::{limiter, service as concurrency},
        fault::Faults,
        rate_limit::{Admission, Headers, RateLimit, with_headers},
        timeout::TimeoutLimits,
        track::{Outcome, Track},
        validation::Validation,
    },
};

/// The gates of one method, in the order in which they are passed; `None` for those that are not there.
pub(in super::super) struct Gates {
    pub(in super::super) timeout: TimeoutLimits,
    pub(in super::super) bbr: Option<bbr::Guard>,
    pub(in super::super) auth: Option<Arc<auth::Gate>>,
    pub(in super::super) authorize: Option<Arc<authorize::Judge>>,
    pub(in super::super) rate_limit: Option<RateLimit>,
    /// A fixed limit or one that finds itself: there are never both.
    pub(in super::super) limit: Option<concurrency::Enter>,
    pub(in super::super) validation: Option<Validation>,
    pub(in super::super) breaker: Option<Breaker>,
    pub(in super::super) fault: Option<Arc<Faults>>,
}

/// What a call leaves that has passed the gates.
#[derive(Default)]
pub(super) struct Left {
    /// When it was over, or its stream of answers had begun.
    pub(super) at: Option<Instant>,
    pub(super) kept: Kept,
}

/// What is held until a stream of answers is over.
#[derive(Default)]
pub(super) struct Kept {
    ticket: Option<breaker::Call>,
    place: Option<concurrency::Call>,
}

impl Track for Kept {
    fn streaming(&mut self) {
        self.ticket.iter_mut().for_each(Track::streaming);
        self.place.iter_mut().for_each(Track::streaming);
    }

    #[inline]
    fn message<P: Payload>(&mut self, message: &P) {
        if let Some(ticket) = &mut self.ticket {
            ticket.message(message);
        }
    }

    fn end(self, outcome: Outcome<'_>) {
        if let Some(ticket) = self.ticket {
            ticket.end(outcome);
        }
        if let Some(place) = self.place {
            place.end(outcome);
        }
    }
}

/// What one call holds.
#[derive(Default)]
struct Held<'a> {
    load: Option<bbr::Running<&'a Arc<bbr::Shared>>>,
    headers: Headers,
    place: Option<concurrency::Call<&'a Arc<limiter::Shared>>>,
    ticket: Option<breaker::Call<&'a Breaker>>,
}

impl Gates {
    /// Makes a call, if all gates let it through. `left` is told when it was over, and gets what a stream
    /// of answers still holds.
    pub(super) async fn pass<Req: Payload, Res: Payload>(
        &self,
        arrived: &mut Option<Request<Req>>,
        inner: &Endpoint<Req, Res>,
        start: Instant,
        left: &mut Left,
    ) -> Result<Response<Res>, Error> {
        let mut held = Held::default();
        if Req::IS_STREAM
            && let Some(validation) = &self.validation
        {
            // Its messages are checked as they come: that refuses nothing now.
            *arrived = arrived.take().map(|request| validation.check(request)).transpose()?;
        }
        let entered = match arrived.as_mut() {
            Some(request) => self.enter(&mut held, request, start).await,
            None => Ok(()),
        };
        let result = match (entered, arrived.take()) {
            (Ok(()), Some(request)) => inner.call(request).await,
            (Ok(()), None) => Err(polled_again()),
            (Err(refused), _) => Err(refused),
        };
        let now = *left.at.insert(Instant::now());
        if Res::IS_STREAM && result.is_ok() {
            left.kept = held.keep(now);
        }
        held.leave(result, now)
    }

    /// Passes one gate after the other. What was waited for is over: the clock is read again.
    async fn enter<'a, Req: Payload>(
        &'a self,
        held: &mut Held<'a>,
        request: &mut Request<Req>,
        mut now: Instant,
    ) -> Result<(), Error> {
        if let Some(bbr) = &self.bbr {
            held.load = Some(bbr.enter(request.context(), now)?);
        }
        if let Some(gate) = &self.auth {
            let identity = Box::pin(gate.identify(request.context())).await?;
            if let Some(identity) = identity {
                request.context_mut().set_extension(identity);
            }
            now = Instant::now();
        }
        if let Some(judge) = &self.authorize {
            judge.allow(request.context())?;
        }
        if let Some(limit) = &self.rate_limit {
            held.headers = match limit.decide(request.context(), true, now) {
                Admission::Admitted(headers) => headers,
                Admission::Refused(error) => return Err(error),
                Admission::Asking(deciding) => {
                    let headers = deciding.await?;
                    now = Instant::now();
                    headers
                }
            };
        }
        if let Some(limit) = &self.limit {
            held.place = limit.admit(request.context(), now);
            if held.place.is_none() {
                held.place = Some(Box::pin(limit.wait(request.context())).await?);
                now = Instant::now();
            }
        }
        if !Req::IS_STREAM
            && let Some(validation) = &self.validation
        {
            validation.refuse(request.message())?;
        }
        if let Some(breaker) = &self.breaker {
            held.ticket = Some(breaker::Call::start(breaker, request.context(), || now)?);
        }
        if let Some(fault) = self.fault.as_ref().filter(|fault| fault.on()) {
            Box::pin(fault.pass(request.context())).await?;
        }
        Ok(())
    }
}

impl Held<'_> {
    /// The call is over: all who still hold something are told, from the inside out.
    fn leave<Res: Payload>(
        mut self,
        result: Result<Response<Res>, Error>,
        now: Instant,
    ) -> Result<Response<Res>, Error> {
        let outcome = match &result {
            Ok(_) => Outcome::Answered,
            Err(error) => Outcome::Failed(error),
        };
        self.tell(outcome, now);
        with_headers(result, self.headers.take())
    }

    /// The answer is a stream that has begun: what is held until its end.
    fn keep(&mut self, now: Instant) -> Kept {
        if let Some(load) = self.load.take() {
            load.passed(now);
        }
        Kept {
            ticket: self.ticket.take().map(breaker::Call::keep),
            place: self.place.take().map(concurrency::Call::keep),
        }
    }

    #[inline]
    fn tell(&mut self, outcome: Outcome<'_>, now: Instant) {
        if let Some(mut ticket) = self.ticket.take() {
            if matches!(outcome, Outcome::Answered) {
                ticket.answered_at(|| now);
            }
            ticket.ended_at(outcome, || now);
        }
        if let Some(mut place) = self.place.take() {
            place.tell(outcome, || now);
        }
        if let Some(load) = self.load.take() {
            load.ended(outcome, || now);
        }
    }
}

impl Drop for Held<'_> {
    // The caller went away, or the deadline passed.
    fn drop(&mut self) {
        let is_held = self.ticket.is_some() || self.place.is_some() || self.load.is_some();
        if is_held && !std::thread::panicking() {
            self.tell(Outcome::Dropped, Instant::now());
        }
    }
}
