//! Those who look on: spans, figures, the access log and error reports.

use std::sync::Arc;

use tokio::time::Instant;

#[cfg(feature = "metrics")]
use crate::layer::metrics;
#[cfg(feature = "trace")]
use crate::layer::trace;
use crate::{
    Error, Message, Payload, Request, Response,
    endpoint::current,
    error::stack::capturing,
    layer::{
        access_log, report,
        track::{Outcome, Track},
    },
};
#[cfg(feature = "metrics")]
use crate::{Transport, telemetry::metrics::MethodSeries};

/// Who looks on at one method; `None` for those that are not there. The access log always is.
pub(in super::super) struct Watchers {
    #[cfg(feature = "trace")]
    pub(in super::super) trace: Option<Arc<trace::Traced>>,
    #[cfg(feature = "metrics")]
    pub(in super::super) series: Option<Arc<MethodSeries>>,
    pub(in super::super) report: Option<Arc<report::Shared>>,
}

/// One call, as those see it.
pub(super) struct Watch<'a> {
    watchers: &'a Watchers,
    // Its context, to be the running call while it is worked on; `None` when all were told of the end.
    call: Option<current::Call>,
    start: Instant,
    #[cfg(feature = "metrics")]
    transport: Transport,
    // These in boxes, so that calls without them carry no room for them.
    report: Option<Box<report::Call>>,
    /// `None` for a call that is not recorded.
    #[cfg(feature = "trace")]
    span: Option<Box<trace::Call>>,
}

impl Watchers {
    /// A call begins.
    #[inline]
    pub(super) fn begin<Req: Payload>(&self, request: &mut Request<Req>, start: Instant) -> Watch<'_> {
        #[cfg(feature = "trace")]
        let span = self.trace.as_ref().and_then(|traced| traced.begin(request.context_mut()));
        #[cfg(feature = "metrics")]
        let transport = request.context().transport();
        #[cfg(feature = "metrics")]
        if let Some(series) = &self.series {
            metrics::began(series, transport, request.message());
        }
        Watch {
            watchers: self,
            call: Some(current::Call::Of(request.context().clone())),
            start,
            #[cfg(feature = "metrics")]
            transport,
            report: None,
            #[cfg(feature = "trace")]
            span,
        }
    }

    /// Whether a request has to go through [`Watch::keep`].
    #[inline]
    pub(super) fn keeps<Req: Payload>(&self) -> bool {
        Req::IS_STREAM || self.report.is_some()
    }
}

impl Watch<'_> {
    /// The call, to be the running one while it is worked on: what log lines say is of it.
    pub(super) fn call(&mut self) -> &mut Option<current::Call> {
        &mut self.call
    }

    /// The request, seen message by message where it is a stream, and with what a report would show of it.
    pub(super) fn keep<Req: Payload>(&mut self, mut request: Request<Req>) -> Request<Req> {
        #[cfg(feature = "metrics")]
        if Req::IS_STREAM
            && let Some(series) = &self.watchers.series
        {
            request = metrics::counted(series, self.transport, request);
        }
        if let Some(shared) = &self.watchers.report {
            let (report, kept) = report::Call::start(shared, request);
            self.report = Some(Box::new(report));
            request = kept;
        }
        request
    }

    /// Whether errors of the call are to know their stacks.
    pub(super) fn wants_stacks(&self) -> bool {
        self.report.as_ref().is_some_and(|report| report.wants_stacks())
    }

    /// The call is over.
    #[inline]
    pub(super) fn end<Res: Payload>(
        mut self,
        result: Result<Response<Res>, Error>,
        now: Instant,
    ) -> Result<Response<Res>, Error> {
        match &result {
            Ok(response) => {
                #[cfg(feature = "metrics")]
                if let Some(series) = &self.watchers.series {
                    series.response_size(self.transport, response.message().encoded_len());
                }
                #[cfg(not(feature = "metrics"))]
                let _ = response;
                self.tell(Outcome::Answered, now);
            }
            Err(error) => self.tell(Outcome::Failed(error), now),
        }
        result
    }

    /// Tells all of the end, from the inside out.
    #[inline]
    fn tell(&mut self, outcome: Outcome<'_>, now: Instant) {
        if let Some(report) = self.report.take() {
            // It tells of the running call.
            current::within(&mut self.call, || report.end(outcome));
        }
        if let Some(current::Call::Of(context)) = self.call.take() {
            access_log::Call::new(context, self.start).ended(outcome);
        }
        #[cfg(feature = "metrics")]
        if let Some(series) = &self.watchers.series {
            metrics::ended(series, self.transport, outcome, now.saturating_duration_since(self.start));
        }
        #[cfg(not(feature = "metrics"))]
        let _ = now;
        #[cfg(feature = "trace")]
        if let Some(span) = self.span.take() {
            span.end(outcome);
        }
    }

    /// The answer is a stream that has begun: those who look on until its end.
    pub(super) fn go_on(mut self) -> Onlookers {
        Onlookers {
            report: self.report.take(),
            call: self.call.take(),
            start: self.start,
            #[cfg(feature = "metrics")]
            metrics: self.watchers.series.as_ref().map(|series| metrics::Call::new(series, self.transport, self.start)),
            #[cfg(feature = "trace")]
            span: self.span.take(),
        }
    }
}

/// Those who look on at a stream of answers.
pub(super) struct Onlookers {
    report: Option<Box<report::Call>>,
    /// The running call while a message of it is worked on.
    call: Option<current::Call>,
    start: Instant,
    #[cfg(feature = "metrics")]
    metrics: Option<metrics::Call>,
    #[cfg(feature = "trace")]
    span: Option<Box<trace::Call>>,
}

impl Track for Onlookers {
    fn streaming(&mut self) {
        if let Some(report) = &mut self.report {
            report.streaming();
        }
    }

    fn waiting<M: Message>(&mut self) {
        #[cfg(feature = "trace")]
        if let Some(span) = &mut self.span {
            span.waiting::<M>();
        }
    }

    #[inline]
    fn message<P: Payload>(&mut self, message: &P) {
        if let Some(report) = &mut self.report {
            report.message(message);
        }
        #[cfg(feature = "metrics")]
        if let Some(metrics) = &mut self.metrics {
            metrics.message(message);
        }
        #[cfg(feature = "trace")]
        if let Some(span) = &mut self.span {
            span.message(message);
        }
    }

    #[inline]
    fn within<T>(&mut self, poll: impl FnOnce() -> T) -> T {
        let wants_stacks = self.report.as_ref().is_some_and(|report| report.wants_stacks());
        current::within(&mut self.call, || capturing(wants_stacks, poll))
    }

    fn end(mut self, outcome: Outcome<'_>) {
        if let Some(report) = self.report.take() {
            // It tells of the running call.
            current::within(&mut self.call, || report.end(outcome));
        }
        if let Some(current::Call::Of(context)) = self.call.take() {
            access_log::Call::new(context, self.start).ended(outcome);
        }
        #[cfg(feature = "metrics")]
        if let Some(metrics) = self.metrics {
            metrics.end(outcome);
        }
        #[cfg(feature = "trace")]
        if let Some(span) = self.span {
            span.end(outcome);
        }
    }
}

impl Drop for Watch<'_> {
    // The caller went away.
    fn drop(&mut self) {
        if self.call.is_some() {
            self.tell(Outcome::Dropped, Instant::now());
        }
    }
}
