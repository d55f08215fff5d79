//! Who may ask: programs and people, not the pages of other sites that a browser shows.
//!
//! A browser on a machine that reaches the port would otherwise work for any page it shows. Such a page can send requests that
//! change something (their `Origin` tells), load answers as scripts or images (`Sec-Fetch-Site` tells), or let its own name lead
//! to this port and then read everything, as DNS rebinding does: the `Host` is its name then, and not one of ours.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts, uri::Authority};

use super::{DebugConfig, Refusal};
use crate::Error;

/// Scripts and styles come from this port alone; nothing may show its pages inside of others.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Refuses what a page of another site asks for, and adds the headers that every answer has.
pub(super) async fn guard(State(config): State<Arc<DebugConfig>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let mut response = match check(&parts, &config.hosts) {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(error) => Refusal::from(error).respond(&parts.headers),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    // A page that needs another one, such as a drawing with a script inside, has set its own.
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(POLICY);
    response
}

fn check(request: &Parts, hosts: &[String]) -> Result<(), Error> {
    let authority = authority(request)?;
    if !is_ours(&authority, hosts) {
        let host = authority.host();
        return Err(Error::permission_denied(format!(
            "the debug port is not called {host}: use localhost or an IP address, or add the name to debug.hosts"
        )));
    }
    let text = |name: &str| text(request, name);
    let reads = matches!(request.method, Method::GET | Method::HEAD);
    if let (false, Some(origin)) = (reads, text("origin")) {
        let own = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        if !own.is_some_and(|own| own.eq_ignore_ascii_case(authority.as_str())) {
            return Err(elsewhere());
        }
    }
    // A link on another site may lead here; nothing else of it may.
    let followed = reads
        && text("sec-fetch-mode") == Some("navigate")
        && text("sec-fetch-dest").is_none_or(|dest| dest == "document");
    match text("sec-fetch-site") {
        None | Some("same-origin" | "none") => Ok(()),
        Some(_) if followed => Ok(()),
        Some(_) => Err(elsewhere()),
    }
}

/// Refuses to begin what costs the process something, such as a profile, for the link of another site: whoever follows it does
/// not know what it begins.
#[cfg(feature = "pprof")]
pub(super) fn check_own(request: &Parts) -> Result<(), Error> {
    match text(request, "sec-fetch-site") {
        None | Some("same-origin" | "none") => Ok(()),
        Some(_) => Err(Error::permission_denied(
            "a link on a page of another origin leads here, and recordings are not begun by those: open the address itself",
        )),
    }
}

/// The value of a header; empty when it is no text.
fn text<'a>(request: &'a Parts, name: &str) -> Option<&'a str> {
    request.headers.get(name).map(|value| value.to_str().unwrap_or_default())
}

fn elsewhere() -> Error {
    Error::permission_denied(
        "the request comes from a page of another origin: the debug port answers its own pages only",
    )
}

/// The name and port that the request is for.
fn authority(request: &Parts) -> Result<Authority, Error> {
    if let Some(authority) = request.uri.authority() {
        return Ok(authority.clone());
    }
    let wrong = || Error::invalid_argument("the request needs one Host header with a name or an address");
    let one = |headers: &HeaderMap| {
        let mut all = headers.get_all(header::HOST).iter();
        all.next().filter(|_| all.next().is_none()).cloned()
    };
    let host = one(&request.headers).ok_or_else(wrong)?;
    Authority::try_from(host.as_bytes()).map_err(|_| wrong())
}

fn is_ours(authority: &Authority, hosts: &[String]) -> bool {
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host();
    let host = host.strip_suffix('.').unwrap_or(host);
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    // No name leads to an address that is given itself, and `localhost` with all below it is never asked of the internet.
    address.parse::<IpAddr>().is_ok()
        || host.eq_ignore_ascii_case("localhost")
        || host.len() > 10 && host.get(host.len() - 10..).is_some_and(|end| end.eq_ignore_ascii_case(".localhost"))
        || hosts.iter().any(|ours| ours.trim_end_matches('.').eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: Method, headers: &[(&str, &str)]) -> Result<(), Error> {
        let mut request = http::Request::builder().method(method).uri("/debug/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        check(&request.body(()).unwrap().into_parts().0, &["details.internal".to_owned()])
    }

    #[test]
    fn only_names_that_nobody_else_can_have_lead_here() {
        for host in [
            "localhost",
            "LocalHost:5003",
            "a.localhost:5003",
            "127.0.0.1:5003",
            "10.1.2.3",
            "[::1]:5003",
            "[fe80::1]",
            "details.internal:5003",
            "DETAILS.internal.",
        ] {
            asked(Method::GET, &[("host", host)]).unwrap_or_else(|e| panic!("{host}: {e}"));
        }
        for host in [
            "evil.example",
            "evil.example:5003",
            "localhost.evil.example",
            "evillocalhost",
            ".localhost",
            "details.internal.evil.example",
            "127.0.0.1.evil.example",
            "localhost@evil.example",
            "evil@localhost",
            "127.1",
        ] {
            let error = asked(Method::GET, &[("host", host)]).unwrap_err();
            assert_eq!(error.code(), crate::Code::PermissionDenied, "{host}");
        }
        for headers in [&[][..], &[("host", "")], &[("host", "a b")], &[("host", "localhost"), ("host", "localhost")]] {
            let error = asked(Method::GET, headers).unwrap_err();
            assert_eq!(error.code(), crate::Code::InvalidArgument, "{headers:?}");
        }
    }

    #[test]
    fn the_name_may_stand_in_the_address_as_http2_has_it() {
        let parts = |uri: &str| http::Request::builder().uri(uri).body(()).unwrap().into_parts().0;
        check(&parts("http://localhost:5003/debug/"), &[]).unwrap();
        check(&parts("http://evil.example/debug/"), &[]).unwrap_err();
    }

    #[test]
    fn a_page_of_another_origin_changes_nothing() {
        let host = ("host", "localhost:5003");
        let put = |more: &[(&'static str, &'static str)]| asked(Method::PUT, &[&[host], more].concat());
        put(&[]).unwrap();
        put(&[("origin", "http://localhost:5003")]).unwrap();
        put(&[("origin", "https://LOCALHOST:5003"), ("sec-fetch-site", "same-origin")]).unwrap();
        for origin in
            ["null", "", "http://evil.example", "http://localhost:5001", "http://localhost", "localhost:5003", "\u{7f}"]
        {
            let Ok(value) = HeaderValue::from_bytes(origin.as_bytes()) else { continue };
            let mut parts = http::Request::put("/debug/log").header(host.0, host.1).body(()).unwrap().into_parts().0;
            parts.headers.insert(header::ORIGIN, value);
            check(&parts, &[]).unwrap_err();
        }
        put(&[("sec-fetch-site", "cross-site")]).unwrap_err();
        put(&[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "navigate")]).unwrap_err();
    }

    #[test]
    fn a_link_on_another_site_may_be_followed_and_nothing_else() {
        let get = |site: &'static str, mode: &'static str, dest: &'static str| {
            let host = ("host", "localhost:5003");
            asked(Method::GET, &[host, ("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest)])
        };
        get("cross-site", "navigate", "document").unwrap();
        get("none", "navigate", "document").unwrap();
        get("same-origin", "cors", "empty").unwrap();
        get("cross-site", "no-cors", "script").unwrap_err();
        get("cross-site", "no-cors", "image").unwrap_err();
        get("cross-site", "navigate", "iframe").unwrap_err();
        get("same-site", "cors", "empty").unwrap_err();
    }
}
