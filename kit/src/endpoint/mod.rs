//! One method of a service as a value: [`Endpoint`], and what travels through it.
//!
//! Every door of a service leads into the same endpoint, and the endpoint is where middleware stands. It is an ordinary
//! Tower service with its type erased, so that one type fits a local implementation, a remote one and a test double.
//!
//! ```
//! use kit::{Context, Endpoint, Error, Method, MethodInfo, MethodKind, Request};
//! use tower::timeout::TimeoutLayer;
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
//! # runtime.block_on(async {
//! let method = Method::from(MethodInfo::new("demo.Upper", "Upper", MethodKind::Unary));
//! let endpoint = Endpoint::from_fn(method, |_cx: Context, text: String| async move { Ok(text.to_uppercase()) });
//! // Any Tower layer fits.
//! let endpoint = endpoint.layer(TimeoutLayer::new(std::time::Duration::from_secs(1)));
//! let answer = endpoint.call(Request::new(Context::background(), "hello".to_owned())).await?;
//! assert_eq!(answer.message(), "HELLO");
//! # Ok::<(), Error>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::{
    fmt,
    future::Future,
    sync::Arc,
    task::{Context as TaskContext, Poll},
};

use tower::{Layer, Service};

use crate::{Error, Middleware};

mod context;
pub mod current;
pub(crate) mod erased;
mod handler;
mod layers;
mod metadata;
mod method;
mod payload;
mod request;
mod request_id;
mod service;
mod streaming;
pub(crate) mod trace_headers;

use erased::{Call, Tower};
use handler::Handler;

pub use context::{Context, Peer, Transport};
pub use erased::CallFuture;
pub use layers::LayerInfo;
pub use metadata::Metadata;
pub use method::{HttpRule, Idempotency, Method, MethodInfo, MethodKind, RuleBody};
pub use payload::{MapStream, Payload};
pub use request::{Request, Response};
pub use request_id::RequestId;
pub use service::{Connect, Endpoints, ServiceInfo, VisitEndpoints};
pub use streaming::{Sender, Streaming};

/// What a Tower service must be to stand in an endpoint. Implemented for every service that fits; not for you to implement.
pub trait EndpointService<Req, Res>:
    Service<Request<Req>, Response = Response<Res>, Error: Into<Error>, Future: Send + 'static>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S, Req, Res> EndpointService<Req, Res> for S where
    S: Service<Request<Req>, Response = Response<Res>, Error: Into<Error>, Future: Send + 'static>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// One method, with all the middleware around it.
///
/// Cheap to clone; clones share what their layers share. It is itself a Tower service.
pub struct Endpoint<Req, Res> {
    method: Method,
    layers: Arc<[LayerInfo]>,
    inner: Arc<dyn Call<Req, Res>>,
}

impl<Req: Payload, Res: Payload> Endpoint<Req, Res> {
    /// An endpoint of a Tower service: the innermost one. This is the one place where types are erased.
    ///
    /// Not for what goes around an endpoint that is there: the new one knows nothing of the layers inside, and the debug port
    /// would not show them. [`Endpoint::layer`] and [`Endpoint::wrap`] keep them.
    pub fn new<S: EndpointService<Req, Res>>(method: Method, service: S) -> Self {
        Self::erased(method, Tower(service))
    }

    fn erased(method: Method, service: impl Call<Req, Res>) -> Self {
        Self { method, layers: Arc::default(), inner: Arc::new(service) }
    }

    /// An endpoint of an async function.
    ///
    /// Metadata that the function sets on its context goes into the answer, or into the error.
    pub fn from_fn<F, Fut>(method: Method, function: F) -> Self
    where
        F: Fn(Context, Req) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Res, Error>> + Send + 'static,
    {
        Self::erased(method, Handler(function))
    }

    /// Which method it is.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Puts a plain Tower layer around this one endpoint. The debug port shows it by the name of its type.
    #[must_use]
    pub fn layer<L>(self, layer: L) -> Self
    where
        L: Layer<Self>,
        L::Service: EndpointService<Req, Res>,
    {
        let info = LayerInfo::new(layers::short_name(std::any::type_name::<L>()), serde_json::Value::Null);
        self.wrap([info], |inner| layer.layer(inner))
    }

    /// Puts a service around this endpoint and tells of the layers that it consists of, the outermost first.
    #[must_use]
    pub fn wrap<S>(self, layers: impl IntoIterator<Item = LayerInfo>, around: impl FnOnce(Self) -> S) -> Self
    where
        S: EndpointService<Req, Res>,
    {
        self.wrap_erased(layers, |inner| Tower(around(inner)))
    }

    /// The same for a service that is called by reference.
    pub(crate) fn wrap_erased<S: Call<Req, Res>>(
        self,
        layers: impl IntoIterator<Item = LayerInfo>,
        around: impl FnOnce(Self) -> S,
    ) -> Self {
        let method = self.method.clone();
        let layers = layers.into_iter().chain(self.layers.iter().cloned()).collect();
        Self { layers, ..Self::erased(method, around(self)) }
    }

    /// The layers around the innermost service, the outermost first.
    pub fn layers(&self) -> &[LayerInfo] {
        &self.layers
    }

    /// Puts a middleware around this one endpoint.
    #[must_use]
    pub fn with<M: Middleware>(self, middleware: &M) -> Self {
        middleware.apply(self)
    }

    /// Calls: waits until the layers are ready for it, then passes the request through them.
    ///
    /// Dropping the future cancels the call; what a handler had done by then stays done.
    ///
    /// # Errors
    /// What the handler or a layer answered.
    pub fn call(&self, request: Request<Req>) -> CallFuture<Res> {
        self.inner.call(request)
    }

    /// Calls as part of the call that `cx` belongs to: deadline, request id and outgoing metadata travel on.
    ///
    /// # Errors
    /// What the handler or a layer answered.
    pub async fn call_next(&self, cx: &Context, message: Req) -> Result<Res, Error> {
        Ok(self.call(Request::new(cx.next(&self.method), message)).await?.into_message())
    }
}

impl<Req, Res> Clone for Endpoint<Req, Res> {
    fn clone(&self) -> Self {
        Self { method: self.method.clone(), layers: Arc::clone(&self.layers), inner: Arc::clone(&self.inner) }
    }
}

impl<Req, Res> fmt::Debug for Endpoint<Req, Res> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("method", &self.method).finish_non_exhaustive()
    }
}

impl<Req: 'static, Res: 'static> Service<Request<Req>> for Endpoint<Req, Res> {
    type Response = Response<Res>;
    type Error = Error;
    type Future = CallFuture<Res>;

    /// An endpoint is always ready: what is not, inside, is waited for by the call.
    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Req>) -> Self::Future {
        self.inner.call(request)
    }
}
