//! Who may call from a browser's page of another origin.

use std::{
    convert::Infallible,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use http::{HeaderName, HeaderValue, Method, header};
use serde::{Deserialize, Serialize};
use tower::{Layer as _, Service, ServiceExt as _, util::BoxCloneSyncService};
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer, ExposeHeaders};

use super::Body;
use crate::Error;

type Inner = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, Infallible>;

/// The settings of cross-origin calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CorsConfig {
    /// Origins that may call, as `https://shop.example`; `*` for all. Default: none, and no CORS header is sent.
    pub origins: Vec<String>,
    /// Whether browsers send cookies and credentials; not together with `*`. Default: false.
    pub credentials: bool,
    /// Headers of an answer that a page may read beside the safe ones. Default: none.
    pub expose: Vec<String>,
}

impl CorsConfig {
    /// What answers browsers; `None` when nobody may call.
    pub(crate) fn layer(&self) -> Result<Option<CorsLayer>, Error> {
        if self.origins.is_empty() {
            return Ok(None);
        }
        let all = self.origins.iter().any(|origin| origin == "*");
        if all && self.credentials {
            return Err(Error::invalid_argument(
                "cors: credentials need named origins: browsers refuse them together with `*`",
            ));
        }
        let origin = if all {
            AllowOrigin::any()
        } else {
            let parse = |origin: &String| {
                let fits = origin.contains("://") && !origin.ends_with('/');
                HeaderValue::from_str(origin).ok().filter(|_| fits).ok_or_else(|| {
                    Error::invalid_argument(format!(
                        "cors: {origin:?} is not an origin: write it as https://shop.example"
                    ))
                })
            };
            AllowOrigin::list(self.origins.iter().map(parse).collect::<Result<Vec<_>, _>>()?)
        };
        let parse = |name: &String| {
            HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| Error::invalid_argument(format!("cors: {name:?} is not the name of a header")))
        };
        let expose = self.expose.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        Ok(Some(
            CorsLayer::new()
                .allow_origin(origin)
                .allow_credentials(self.credentials)
                .allow_methods(AllowMethods::mirror_request())
                .allow_headers(AllowHeaders::mirror_request())
                .expose_headers(ExposeHeaders::list(expose))
                .max_age(MAX_AGE),
        ))
    }
}

/// How long a browser may keep the answer to a preflight: two hours, the most that Chromium keeps.
const MAX_AGE: Duration = Duration::from_secs(7200);

/// An `OPTIONS` that is no preflight goes through under this name, because tower-http answers every `OPTIONS` itself.
const OPTIONS_CALL: &str = "KIT-OPTIONS";

pub(crate) fn around(service: Inner, config: &CorsConfig) -> Result<Inner, Error> {
    let Some(layer) = config.layer()? else { return Ok(service) };
    let inner = service.map_request(|mut request: http::Request<Body>| {
        if request.method().as_str() == OPTIONS_CALL {
            *request.method_mut() = Method::OPTIONS;
        }
        request
    });
    Ok(BoxCloneSyncService::new(Cors { inner: layer.layer(inner) }))
}

#[derive(Clone)]
struct Cors<S> {
    inner: S,
}

impl<S: Service<http::Request<Body>>> Service<http::Request<Body>> for Cors<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> S::Future {
        let preflight = request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if request.method() == Method::OPTIONS
            && !preflight
            && let Ok(method) = Method::from_bytes(OPTIONS_CALL.as_bytes())
        {
            *request.method_mut() = method;
        }
        self.inner.call(request)
    }
}
