//! The context of a call that comes over HTTP.

use std::sync::Arc;

use http::HeaderMap;

use super::answer::Refusal;
use crate::{
    Context, Metadata, Method, Peer, RequestId, Transport,
    transport::{self, is_transport_header, remove_transport_headers},
};

/// The context of a call from the headers that it came with, which are checked first where there are some for the transport.
pub(super) fn arrive(
    method: &Method,
    mut headers: HeaderMap,
    peer: Option<Arc<Peer>>,
    request_id: &RequestId,
    check: impl FnOnce(&HeaderMap) -> Result<(), Refusal>,
) -> Result<Context, Refusal> {
    let mut deadline = None;
    // Most requests have few headers and none of these: names that are there are looked at once, nothing is hashed.
    if headers.keys().any(|name| is_transport_header(name.as_str())) {
        check(&headers)?;
        deadline = transport::deadline(&headers)?;
        remove_transport_headers(&mut headers);
    }
    let metadata = Metadata::from_headers(headers);
    Ok(Context::arrived(method.clone(), Transport::Http, metadata, deadline, request_id.clone(), peer))
}
