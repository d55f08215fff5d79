use std::task::{Context as TaskContext, Poll};

use tokio::time::Instant;
use tower::Service;

use crate::{
    Class, Code, Context, Error, Payload, Request, Response,
    endpoint::current::{self, Ids, Scoped},
    layer::track::{Outcome, Track, Tracked},
};

/// Logs calls: see the [module](super).
#[derive(Clone, Debug)]
pub struct AccessLog<S> {
    pub(super) inner: S,
}

impl<S, Req, Res> Service<Request<Req>> for AccessLog<S>
where
    S: Service<Request<Req>, Response = Response<Res>>,
    S::Error: Into<Error>,
    Res: Payload,
{
    type Response = Response<Res>;
    type Error = Error;
    type Future = Tracked<Scoped<S::Future>, Call>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Req>) -> Self::Future {
        let call = Call::new(request.context().clone(), Instant::now());
        Tracked::new(current::scope_of(Ids::from(&call.context), || self.inner.call(request)), call)
    }
}

/// A call that has not been logged yet.
#[derive(Debug)]
pub struct Call {
    context: Context,
    start: Instant,
}

impl Call {
    #[inline]
    pub(crate) fn new(context: Context, start: Instant) -> Self {
        Self { context, start }
    }

    /// The call is over.
    #[inline]
    pub(crate) fn ended(&self, outcome: Outcome<'_>) {
        match outcome {
            Outcome::Answered => self.log(None),
            Outcome::Failed(error) => self.log(Some(error)),
            Outcome::Dropped => self.log(Some(&Error::cancelled("the caller went away"))),
        }
    }

    #[inline]
    fn log(&self, error: Option<&Error>) {
        let wanted = match error.map(Error::class) {
            Some(Class::Fault) => tracing::enabled!(target: "kit::access", tracing::Level::ERROR),
            Some(Class::Transient | Class::Rejected) => tracing::enabled!(target: "kit::access", tracing::Level::WARN),
            None | Some(Class::Caller | Class::Cancelled) => {
                tracing::enabled!(target: "kit::access", tracing::Level::INFO)
            }
        };
        if wanted {
            self.write(error);
        }
    }

    #[cold]
    fn write(&self, error: Option<&Error>) {
        let call = self;
        // The values are written inside the macros: nothing is measured or formatted for a line that a filter keeps out.
        macro_rules! line {
            ($level:ident, $error:expr) => {
                tracing::$level!(
                    target: "kit::access",
                    code = $error.code().name(),
                    duration_ms = call.milliseconds(),
                    transport = call.context.transport().name(),
                    peer = call.peer(),
                    error = %$error.to_log(),
                    "call"
                )
            };
        }
        current::enter(Ids::from(&call.context), || match error {
            None => tracing::info!(
                target: "kit::access",
                code = Code::Ok.name(),
                duration_ms = call.milliseconds(),
                transport = call.context.transport().name(),
                peer = call.peer(),
                "call"
            ),
            Some(error) => match error.class() {
                Class::Fault => line!(error, error),
                Class::Transient | Class::Rejected => line!(warn, error),
                Class::Caller | Class::Cancelled => line!(info, error),
            },
        });
    }

    fn milliseconds(&self) -> f64 {
        // Whole microseconds: what is finer is noise, and long numbers.
        self.start.elapsed().as_micros() as f64 / 1e3
    }

    fn peer(&self) -> String {
        let address = self.context.peer().and_then(|peer| peer.address);
        address.map_or_else(|| "-".to_owned(), |address| address.to_string())
    }
}

impl Track for Call {
    fn within<T>(&mut self, poll: impl FnOnce() -> T) -> T {
        current::enter(Ids::from(&self.context), poll)
    }

    #[inline]
    fn end(self, outcome: Outcome<'_>) {
        self.ended(outcome);
    }
}
