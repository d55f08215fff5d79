//! `GET /metrics`.

use std::io::Write as _;

use axum::{
    Router,
    body::Body,
    response::{IntoResponse, Response},
    routing::get,
};
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::{Format, Scrapes};
use crate::telemetry::metrics::Metrics;

/// The routes of the metrics port.
pub(in super::super) fn routes(metrics: Metrics) -> Router {
    let scrapes = Scrapes::default();
    let scrape = move |headers: HeaderMap| {
        let response = answer(&metrics, &scrapes, &headers);
        async { response }
    };
    Router::new().route("/metrics", get(scrape))
}

fn answer(metrics: &Metrics, scrapes: &Scrapes, headers: &HeaderMap) -> Response {
    let format = Format::negotiate(&joined(headers, &header::ACCEPT));
    let bytes = match metrics.encode(format) {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::error!(error = %error.to_log(), "metrics");
            return (StatusCode::INTERNAL_SERVER_ERROR, error.message().to_owned()).into_response();
        }
    };
    let (bytes, gzip) = match accepts_gzip(headers).then(|| compressed(&bytes)) {
        Some(Ok(smaller)) => (smaller, true),
        _ => (bytes, false),
    };
    let mut response = Response::new(Body::new(scrapes.answer(bytes)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    headers.insert(header::VARY, HeaderValue::from_static("accept, accept-encoding"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// A header may come in several lines.
fn joined(headers: &HeaderMap, name: &HeaderName) -> String {
    let lines: Vec<_> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    lines.join(",")
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    joined(headers, &header::ACCEPT_ENCODING).split(',').any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let quality = parts.find_map(|part| part.strip_prefix("q=")).map_or(Ok(1.0), str::parse::<f32>);
        gzip && quality.is_ok_and(|quality| quality > 0.0)
    })
}

/// At the lowest level: names that repeat shrink to a tenth at any.
fn compressed(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}
