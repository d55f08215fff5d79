//! What a port answers with.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
};

use h2::RecvStream;
use http::{HeaderMap, header};
use pin_project_lite::pin_project;
use tower::{
    Layer as _, Service, ServiceExt as _,
    util::{BoxCloneSyncService, Oneshot},
};

use crate::{
    Peer,
    transport::{
        grpc::{DirectCall, GrpcService},
        http::{
            Answering, Body, CorsConfig, HttpService, around_cors,
            bodies::{AnswerBody, RequestBody},
        },
    },
};

/// A service of any kind.
pub(super) type Boxed = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, Infallible>;

/// The application of a port. Cheap to clone.
#[derive(Clone)]
pub(super) enum App {
    /// HTTP/JSON, which needs no box for a request.
    Http(HttpService),
    Grpc(GrpcApp),
    /// Both, told apart by the content type.
    Both(HttpService, GrpcApp),
    /// Anything else.
    Other(Boxed),
}

/// gRPC and gRPC-Web.
#[derive(Clone)]
pub(super) struct GrpcApp {
    service: Boxed,
    /// Whose calls with one message need none of what stands around the service.
    direct: GrpcService,
}

impl App {
    pub(super) fn new<S>(service: S) -> Self
    where
        S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        Self::Other(BoxCloneSyncService::new(service))
    }

    /// Answers a request of a connection.
    pub(super) fn answer(&self, request: http::Request<RequestBody>, peer: &Arc<Peer>) -> AppFuture {
        let other = match self {
            Self::Grpc(grpc) => &grpc.service,
            Self::Both(_, grpc) if is(request.headers(), "application/grpc") => &grpc.service,
            Self::Http(http) | Self::Both(http, _) => {
                return AppFuture::Http { answering: http.answer(request, Some(Arc::clone(peer))) };
            }
            Self::Other(other) => other,
        };
        let mut request = request.map(RequestBody::boxed);
        request.extensions_mut().insert(Arc::clone(peer));
        AppFuture::Other { answering: other.clone().oneshot(request) }
    }

    /// Starts a gRPC call whose request is one message, from a stream of HTTP/2; gives back what is anything else. A call from a browser's page is
    /// something else: who may call is decided around the service.
    #[expect(clippy::result_large_err, reason = "it is no error: what is given back is answered in another way")]
    pub(super) fn direct(
        &self,
        request: http::Request<RecvStream>,
        peer: &Arc<Peer>,
    ) -> Result<DirectCall, http::Request<RecvStream>> {
        match self {
            Self::Grpc(grpc) | Self::Both(_, grpc) if !request.headers().contains_key(header::ORIGIN) => {
                grpc.direct.direct(request, peer)
            }
            _ => Err(request),
        }
    }
}

pin_project! {
    /// The future of [`App::answer`].
    #[project = Answer]
    pub(super) enum AppFuture {
        Http { #[pin] answering: Answering },
        Other { #[pin] answering: Oneshot<Boxed, http::Request<Body>> },
    }
}

impl Future for AppFuture {
    type Output = http::Response<AnswerBody>;

    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Self::Output> {
        match self.project() {
            Answer::Http { answering } => answering.poll(task),
            Answer::Other { answering } => answering.poll(task).map(|answered| {
                let Ok(response) = answered;
                response.map(AnswerBody::Boxed)
            }),
        }
    }
}

/// What is served on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocols {
    Http,
    Grpc,
    Both,
}

impl Protocols {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
            Self::Both => "http, grpc",
        }
    }
}

/// gRPC and gRPC-Web.
pub(super) fn grpc_app(service: GrpcService, cors: &CorsConfig) -> Result<GrpcApp, crate::Error> {
    let direct = service.clone();
    let web = tonic_web::GrpcWebLayer::new().layer(service.clone());
    let plain = service
        .map_request(|request: http::Request<Body>| request.map(tonic::body::Body::new))
        .map_response(|response| response.map(Body::new));
    let app = tower::service_fn(move |request: http::Request<Body>| {
        let (plain, web) = (plain.clone(), web.clone());
        async move {
            if is(request.headers(), "application/grpc-web") {
                web.oneshot(request).await.map(|response| response.map(Body::new))
            } else {
                plain.oneshot(request).await
            }
        }
    });
    // Browsers call gRPC-Web, and from other origins they ask first; what an error is stands in headers.
    let mut cors = cors.clone();
    cors.expose.extend(["grpc-status", "grpc-message", "grpc-status-details-bin", "x-request-id"].map(str::to_owned));
    Ok(GrpcApp { service: around_cors(BoxCloneSyncService::new(app), &cors)?, direct })
}

fn is(headers: &HeaderMap, content_type: &str) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(content_type.as_bytes()))
}

#[cfg(feature = "reflection")]
pub(super) fn with_reflection(
    grpc: GrpcService,
    descriptors: &[&'static [u8]],
) -> Result<GrpcService, super::ServeError> {
    use tonic_reflection::server::Builder;
    let builder = |descriptors: &[&'static [u8]]| {
        descriptors.iter().fold(Builder::configure(), |builder, set| builder.register_encoded_file_descriptor_set(set))
    };
    let broken = |e| super::ServeError::other(format!("reflection: {e}"), e);
    // Both versions: most tools still ask for the older one.
    let grpc = grpc.mount(builder(descriptors).build_v1().map_err(broken)?);
    Ok(grpc.mount(builder(descriptors).build_v1alpha().map_err(broken)?))
}
