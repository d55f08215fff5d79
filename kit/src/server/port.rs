//! What a port answers with.

use std::convert::Infallible;

use http::{HeaderMap, header};
use tower::{Layer as _, ServiceExt as _, util::BoxCloneSyncService};

use crate::transport::{
    grpc::GrpcService,
    http::{Body, CorsConfig, around_cors},
};

/// The application of a port.
pub(super) type App = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, Infallible>;

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
pub(super) fn grpc_app(service: GrpcService, cors: &CorsConfig) -> Result<App, crate::Error> {
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
    around_cors(BoxCloneSyncService::new(app), &cors)
}

/// HTTP/JSON and gRPC on one port.
pub(super) fn both(http: App, grpc: App) -> App {
    BoxCloneSyncService::new(tower::service_fn(move |request: http::Request<Body>| {
        let app = if is(request.headers(), "application/grpc") { grpc.clone() } else { http.clone() };
        app.oneshot(request)
    }))
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
