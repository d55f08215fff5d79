//! The context of a call that comes over gRPC.

use std::sync::Arc;

use http::HeaderMap;

use crate::{
    Context, Error, Metadata, Method, Peer, RequestId, Transport,
    transport::{deadline, remove_transport_headers},
};

/// The context of a call from the headers that it came with.
pub(super) fn arrive(
    method: &Method,
    mut headers: HeaderMap,
    peer: Option<Arc<Peer>>,
    request_id: &RequestId,
) -> Result<Context, Error> {
    let deadline = deadline(&headers)?;
    remove_transport_headers(&mut headers);
    let metadata = Metadata::from_headers(headers);
    Ok(Context::arrived(method.clone(), Transport::Grpc, metadata, deadline, request_id.clone(), peer))
}
