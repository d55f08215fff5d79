//! What stands between two processes.

use kit::{Context, Endpoint, Error, Request};

use super::Echo;

/// Says that an error came from another process, and is no refusal of a layer on this side.
const REMOTE: &str = "x-remote";

/// A connection: what is dropped on one side is cancelled on the other, as HTTP/2 does it. Of an error only what is written on the
/// wire arrives.
pub(crate) fn connected(server: &Endpoint<Echo, Echo>) -> Endpoint<Echo, Echo> {
    let server = server.clone();
    Endpoint::from_fn(server.method().clone(), move |cx: Context, message: Echo| {
        let server = server.clone();
        async move { server.call_next(&cx, message).await.map_err(sent) }
    })
}

/// A server as people write it: it goes on with what it has begun, though nobody waits for the answer any more.
pub(crate) fn detached(server: &Endpoint<Echo, Echo>) -> Endpoint<Echo, Echo> {
    let server = server.clone();
    Endpoint::from_fn(server.method().clone(), move |_: Context, message: Echo| {
        let call = server.call(Request::new(Context::background(), message));
        let call = tokio::spawn(async move { call.await.map(kit::Response::into_message) });
        async move { call.await.map_err(|gone| Error::internal(gone.to_string()))?.map_err(sent) }
    })
}

fn sent(error: Error) -> Error {
    let mut sent = Error::new(error.code(), error.message().to_owned());
    if let Some(reason) = error.reason() {
        sent = sent.with_reason(reason.reason.clone(), reason.domain.clone());
    }
    if let Some(delay) = error.retry_delay() {
        sent = sent.with_retry_delay(delay);
    }
    let mut metadata = error.metadata().clone();
    metadata.insert(REMOTE, "1").unwrap();
    sent.with_metadata(metadata)
}

/// Whether the error came from another process.
pub(crate) fn is_remote(error: &Error) -> bool {
    error.metadata().get(REMOTE).is_some()
}
