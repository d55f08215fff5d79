//! The page that links to all profiles.

use std::fmt::Write as _;

use axum::{
    extract::State,
    response::{Html, IntoResponse as _, Response},
};
use http::{HeaderValue, header};

use super::{Profiles, Turn};

const PAGE: &str = include_str!("index.html");

/// The page, with the flame graphs that are kept.
pub(super) async fn page(State(profiles): State<Profiles>) -> Response {
    let mut rows = String::new();
    for graph in profiles.graphs().list() {
        let (id, about) = (graph.id, graph.describe());
        let _ = write!(
            rows,
            "<tr><td><a href=\"../flamegraph?id={id}\">{id}</a></td><td>{about}</td>\
             <td><a href=\"../flamegraph?id={id}&amp;format=collapsed\">text</a></td>\
             <td><a href=\"../flamegraph?{again}&amp;diff={id}\">a new one against it</a></td></tr>",
            again = graph.query(),
        );
    }
    if rows.is_empty() {
        rows.push_str("<tr><td colspan=\"4\">none yet</td></tr>");
    }
    let running = match Turn::taken() {
        Some((what, left)) => format!("Now {what} is being recorded: {} s are left.", left.as_secs()),
        None => "Nothing is being recorded now.".to_owned(),
    };
    let mut response =
        Html(PAGE.replace("<!-- running -->", &running).replace("<!-- graphs -->", &rows)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
        ),
    );
    response
}
