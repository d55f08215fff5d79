//! The requests, written out once.

use super::{args::Args, hpack, http1, http2};

/// What a server may refuse if there is more.
const MOST_HEADERS: usize = 8 * 1024;
const AGENT: &str = concat!("kit-load/", env!("CARGO_PKG_VERSION"));

/// Headers that follow from the request, and would be said twice.
const OURS: [&str; 6] = ["content-length", "transfer-encoding", "connection", "te", "grpc-timeout", "upgrade"];

fn check(args: &Args) -> Result<(), String> {
    if args.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum::<usize>() > MOST_HEADERS {
        return Err("the headers are longer than 8 KB".to_owned());
    }
    match args.headers.iter().find(|(name, _)| OURS.contains(&name.as_str())) {
        Some((name, _)) => Err(format!("the header {name} is written by kit load itself")),
        None => Ok(()),
    }
}

/// The request of HTTP/1.1.
pub(super) fn http(args: &Args) -> Result<http1::Request, String> {
    for (given, name) in [(args.server_stream, "--server-stream"), (args.descriptors.is_some(), "--descriptors")] {
        if given {
            return Err(format!("{name} is for gRPC: write grpc://HOST:PORT/package.Service/Method"));
        }
    }
    if args.streams.is_some_and(|streams| streams > 1) {
        return Err("HTTP/1.1 has one call at a time on a connection: more --connections, or grpc://".to_owned());
    }
    check(args)?;
    let body = match &args.data {
        Some(text) => Some(text.as_bytes()),
        None => args.bytes(),
    };
    let default = if body.is_some() { http::Method::POST } else { http::Method::GET };
    let method = args.method.as_ref().unwrap_or(&default);
    if *method == http::Method::CONNECT {
        return Err("CONNECT makes no calls".to_owned());
    }
    let has = |wanted: &str| args.headers.iter().any(|(name, _)| name == wanted);
    let mut head = format!("{method} {} HTTP/1.1\r\n", args.target.path);
    let mut add = |name: &str, value: &str| head.extend([name, ": ", value, "\r\n"]);
    if !has("host") {
        add("host", args.target.authority.as_str());
    }
    if !has("user-agent") {
        add("user-agent", AGENT);
    }
    if let Some(body) = body {
        add("content-length", &body.len().to_string());
        if args.data.is_some() && !has("content-type") {
            add("content-type", "application/json");
        }
    }
    for (name, value) in &args.headers {
        add(name, value);
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body.unwrap_or_default());
    Ok(http1::Request { bytes, is_head: *method == http::Method::HEAD })
}

/// The request of gRPC, with this message.
pub(super) fn grpc(args: &Args, message: &[u8], server_stream: bool) -> Result<http2::Request, String> {
    if args.method.is_some() {
        return Err("-X is for HTTP: gRPC is always POST".to_owned());
    }
    check(args)?;
    let taken = ["host", "content-type", "user-agent"];
    if let Some((name, _)) = args.headers.iter().find(|(name, _)| taken.contains(&name.as_str())) {
        return Err(format!("the header {name} is written by kit load itself"));
    }
    let length = u32::try_from(message.len()).map_err(|_| "the message is longer than gRPC allows".to_owned())?;
    let mut body = vec![0];
    body.extend_from_slice(&length.to_be_bytes());
    body.extend_from_slice(message);
    let headers = hpack::Request::grpc(args.target.authority.as_str(), args.target.path.as_str(), AGENT, &args.headers);
    Ok(http2::Request { headers, body, server_stream, streams: args.streams.unwrap_or(10) })
}
