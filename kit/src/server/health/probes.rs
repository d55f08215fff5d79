//! What probes over HTTP are told.

use std::fmt::Write as _;

use axum::routing::any;
use http::{HeaderValue, Method, StatusCode, header};

use super::{CheckState, Health};
use crate::transport::http::Body;

#[derive(Clone, Copy)]
enum Probe {
    Live,
    Ready,
    Ping,
}

impl Probe {
    const ALL: [(&'static str, Self); 3] = [("/livez", Self::Live), ("/readyz", Self::Ready), ("/ping", Self::Ping)];

    fn answer(self, health: &Health, request: &http::Request<Body>) -> http::Response<Body> {
        let head = match *request.method() {
            Method::GET => false,
            Method::HEAD => true,
            _ => return refusal(),
        };
        let verbose = request.uri().query().is_some_and(|query| {
            query.split('&').any(|one| matches!(one, "verbose" | "verbose=" | "verbose=1" | "verbose=true"))
        });
        let (status, text) = match self {
            // That this is answered is all there is to know: a process that is unready lives, and restarting it mends nothing.
            Self::Live => (StatusCode::OK, "ok\n".to_owned()),
            Self::Ping => (StatusCode::OK, "pong\n".to_owned()),
            Self::Ready => {
                let ready = health.is_ready();
                let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                let text = if verbose { details(health) } else { format!("{}\n", health.phase_name()) };
                (status, text)
            }
        };
        let length = text.len();
        let mut response = http::Response::new(if head { Body::empty() } else { Body::from(text) });
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }
}

fn refusal() -> http::Response<Body> {
    let mut response = http::Response::new(Body::from("use GET\n"));
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

/// A line for each check, and what comes of all of them.
fn details(health: &Health) -> String {
    let mut text = String::new();
    for check in health.checks() {
        let (sign, state) = match &check.state {
            CheckState::Passing => ('+', "ok"),
            CheckState::Pending => ('?', "not run yet"),
            CheckState::Failing(message) => ('-', message.as_str()),
        };
        let informational = if check.critical { "" } else { " (informational)" };
        let of = if check.services.is_empty() { String::new() } else { format!(" of {}", check.services.join(", ")) };
        // Writing to a String does not fail.
        let _ = writeln!(text, "[{sign}] {}{of}{informational}: {}", check.name, state.replace(['\n', '\r'], " "));
    }
    let _ = writeln!(text, "{}", health.phase_name());
    text
}

impl Health {
    /// The answer, when the path is one of a probe.
    pub(in crate::server) fn answer(&self, request: &http::Request<Body>) -> Option<http::Response<Body>> {
        let path = request.uri().path();
        let (_, probe) = Probe::ALL.iter().find(|(of, _)| *of == path)?;
        Some(probe.answer(self, request))
    }

    /// `/livez`, `/readyz` and `/ping`, for a port of [`Server::admin`](crate::server::Server::admin), where they can be asked
    /// until the last call is finished, and by those only who may come there.
    pub fn routes(&self) -> axum::Router {
        Probe::ALL.into_iter().fold(axum::Router::new(), |router, (path, probe)| {
            let health = self.clone();
            router.route(
                path,
                any(move |request: http::Request<Body>| {
                    let answer = probe.answer(&health, &request);
                    async move { answer }
                }),
            )
        })
    }
}
