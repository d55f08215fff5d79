//! What stands around every method of a service: [`Middleware`], and how it is put around some methods only.
//!
//! A middleware is a function from endpoint to endpoint, for every message type. Inside it are ordinary Tower layers.
//!
//! ```
//! use kit::{Endpoint, Middleware, Payload};
//! use tower::limit::ConcurrencyLimitLayer;
//!
//! struct AtMost(usize);
//!
//! impl Middleware for AtMost {
//!     fn apply<Req: Payload, Res: Payload>(&self, endpoint: Endpoint<Req, Res>) -> Endpoint<Req, Res> {
//!         endpoint.layer(ConcurrencyLimitLayer::new(self.0))
//!     }
//! }
//!
//! // Around all methods but one:
//! let middleware = AtMost(10).except(["Watch"]);
//! # let _ = middleware;
//! ```

use crate::{Endpoint, Method, Payload};

mod standard;

pub use standard::{ClientStackConfig, MethodSettings, ServerStackConfig, StandardStack};

/// A function from endpoint to endpoint, whatever the messages are.
///
/// Each middleware costs one erasure of types: an allocation a call. [`StandardStack`] is one for all it holds.
pub trait Middleware {
    /// Puts itself around an endpoint: with [`Endpoint::layer`], [`Endpoint::wrap`], or another middleware. An
    /// [`Endpoint::new`] around it would forget which layers stand inside.
    fn apply<Req: Payload, Res: Payload>(&self, endpoint: Endpoint<Req, Res>) -> Endpoint<Req, Res>;

    /// This middleware around these methods only: the generated statics (`&BOOK_DETAILS_DETAIL`), or names (`Detail`, or
    /// whole: `details.BookDetails/Detail`). Prefer the statics: a misspelt name selects nothing.
    fn only<I: IntoIterator<Item = N>, N: Into<String>>(self, methods: I) -> Selected<Self>
    where
        Self: Sized,
    {
        Selected { inner: self, names: methods.into_iter().map(Into::into).collect(), named: true }
    }

    /// This middleware around all methods but those of these names.
    fn except<I: IntoIterator<Item = N>, N: Into<String>>(self, methods: I) -> Selected<Self>
    where
        Self: Sized,
    {
        Selected { inner: self, names: methods.into_iter().map(Into::into).collect(), named: false }
    }
}

/// A middleware around some methods: see [`Middleware::only`] and [`Middleware::except`].
#[derive(Clone, Debug)]
pub struct Selected<M> {
    inner: M,
    names: Vec<String>,
    named: bool,
}

impl<M> Selected<M> {
    fn selects(&self, method: &Method) -> bool {
        let named =
            self.names.iter().any(|name| *name == *method.name || Some(name.as_str()) == method.path.strip_prefix('/'));
        named == self.named
    }
}

impl<M: Middleware> Middleware for Selected<M> {
    fn apply<Req: Payload, Res: Payload>(&self, endpoint: Endpoint<Req, Res>) -> Endpoint<Req, Res> {
        if self.selects(endpoint.method()) { self.inner.apply(endpoint) } else { endpoint }
    }
}

/// No middleware.
impl Middleware for () {
    fn apply<Req: Payload, Res: Payload>(&self, endpoint: Endpoint<Req, Res>) -> Endpoint<Req, Res> {
        endpoint
    }
}

/// Two middlewares, the first outermost.
impl<A: Middleware, B: Middleware> Middleware for (A, B) {
    fn apply<Req: Payload, Res: Payload>(&self, endpoint: Endpoint<Req, Res>) -> Endpoint<Req, Res> {
        self.0.apply(self.1.apply(endpoint))
    }
}

/// A middleware that may be absent: switched by configuration.
impl<M: Middleware> Middleware for Option<M> {
    fn apply<Req: Payload, Res: Payload>(&self, endpoint: Endpoint<Req, Res>) -> Endpoint<Req, Res> {
        match self {
            Some(middleware) => middleware.apply(endpoint),
            None => endpoint,
        }
    }
}
