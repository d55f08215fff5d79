//! When an answer is compressed. Most are not, and those pass by without a layer around them.

use std::convert::Infallible;

use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Response, header};
use http_body::Body as _;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_http::compression::{
    CompressionLayer,
    predicate::{Predicate as _, SizeAbove},
};

use super::{Body, bodies::AnswerBody, stream::Live};

/// The smallest answer that is compressed: below about 1 kB the header costs more than compression saves.
const SMALLEST: u64 = 1024;

/// What a caller said of compressed answers, to be asked when the answer is there.
#[derive(Debug)]
pub(super) struct Accepted(Option<Box<HeaderMap>>);

impl Accepted {
    /// Nothing.
    pub(super) const NOTHING: Self = Self(None);

    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut accepted = HeaderMap::with_capacity(1);
        for value in headers.get_all(header::ACCEPT_ENCODING) {
            accepted.append(header::ACCEPT_ENCODING, value.clone());
        }
        Self(Some(Box::new(accepted)))
    }

    /// Compresses the answer if it is worth it and wanted.
    pub(super) fn apply(self, response: Response<AnswerBody>) -> Response<AnswerBody> {
        let small = response.body().size_hint().exact().is_some_and(|size| size < SMALLEST);
        let as_it_is = small || response.extensions().get::<Live>().is_some();
        if as_it_is && !self.has_weights() {
            return response;
        }
        let mut request = http::Request::new(());
        *request.headers_mut() = self.0.map(|headers| *headers).unwrap_or_default();
        let fits = |_: http::StatusCode, _: http::Version, headers: &HeaderMap, extensions: &http::Extensions| {
            compressible(headers) && extensions.get::<Live>().is_none()
        };
        let layer = CompressionLayer::new().compress_when(SizeAbove::new(SMALLEST).and(fits));
        let mut response = Some(response);
        let answer = layer.layer(service_fn(move |_: http::Request<()>| {
            let response = response.take().unwrap_or_else(|| Response::new(AnswerBody::EMPTY));
            std::future::ready(Ok::<_, Infallible>(response))
        }));
        // The answer is there: nothing waits.
        match answer.oneshot(request).now_or_never() {
            Some(Ok(response)) => response.map(|body| AnswerBody::Boxed(Body::new(body))),
            None => Response::new(AnswerBody::EMPTY),
        }
    }

    /// With weights a caller can refuse everything, the plain answer too.
    fn has_weights(&self) -> bool {
        let weighted = |value: &HeaderValue| value.as_bytes().contains(&b';');
        self.0.as_ref().is_some_and(|headers| headers.values().any(weighted))
    }
}

fn compressible(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    content_type.starts_with("text/") || content_type.contains("json") || content_type.contains("javascript")
}
