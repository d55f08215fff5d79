//! The OpenAPI document and the page that shows it, without the internet.

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Map, Value};

use super::Body;
use crate::ServiceInfo;

const PAGE: &str = include_str!("docs_page/docs.html");
const SCRIPT: &str = include_str!("docs_page/docs.js");
const STYLE: &str = include_str!("docs_page/docs.css");

/// What is served under `/openapi.json` and `/docs/`.
pub(super) struct Docs {
    document: Bytes,
}

impl Docs {
    /// The documents of all services as one; `None` when there is none.
    pub(super) fn new(services: &[&'static ServiceInfo]) -> Option<Self> {
        let mut texts: Vec<&str> = services.iter().map(|service| service.openapi).collect();
        // Services of one file share a document.
        texts.sort_unstable();
        texts.dedup();
        let mut documents = texts.iter().filter_map(|text| serde_json::from_str::<Map<String, Value>>(text).ok());
        let mut merged = documents.next()?;
        for document in documents {
            merge(&mut merged, document);
        }
        Some(Self { document: serde_json::to_vec(&merged).ok()?.into() })
    }

    pub(super) fn answer(&self, request: &http::Request<Body>) -> Option<http::Response<Body>> {
        let (content_type, content) = match request.uri().path() {
            "/openapi.json" => ("application/json", self.document.clone()),
            "/docs/" => ("text/html; charset=utf-8", Bytes::from_static(PAGE.as_bytes())),
            "/docs/docs.js" => ("text/javascript; charset=utf-8", Bytes::from_static(SCRIPT.as_bytes())),
            "/docs/docs.css" => ("text/css; charset=utf-8", Bytes::from_static(STYLE.as_bytes())),
            "/docs" => {
                let mut response = http::Response::new(Body::empty());
                *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
                response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/docs/"));
                return Some(response);
            }
            _ => return None,
        };
        let head = request.method() == Method::HEAD;
        if !head && request.method() != Method::GET {
            return None;
        }
        let mut response = http::Response::new(if head { Body::empty() } else { Body::from(content.clone()) });
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(content.len()));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'self'; frame-ancestors 'none'; base-uri 'none'"),
        );
        Some(response)
    }
}

/// Adds what a document has under keys that the first does not have; the first wins elsewhere.
fn merge(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Object(into)), Value::Object(value)) => merge(into, value),
            (Some(Value::Array(into)), Value::Array(value)) => {
                into.extend(value.into_iter().filter(|item| !into.contains(item)).collect::<Vec<_>>());
            }
            (Some(_), _) => {}
            (None, value) => {
                into.insert(key, value);
            }
        }
    }
}
