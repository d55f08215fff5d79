//! gRPC, by tonic. The one place where its types are known.
//!
//! [`Server`](crate::server::Server) does all of this; alone it is a Tower service:
//!
//! ```
//! # use kit::Endpoints;
//! # fn example(greeter: &impl Endpoints) {
//! use kit::transport::grpc::{GrpcConfig, GrpcService};
//!
//! let service = GrpcService::new(GrpcConfig::default()).service(greeter);
//! # let _ = service;
//! # }
//! ```

use tonic::metadata::MetadataMap;

use crate::{
    Code, Error,
    transport::{answer_headers, status},
};

mod arrive;
mod broken;
mod client;
mod codec;
mod direct;
mod server;

pub use client::GrpcChannel;
#[cfg(feature = "server")]
pub(crate) use direct::{Answer, DirectCall, ok_trailers};
pub use server::{GrpcConfig, GrpcService};

use prost::Message as _;

/// The status that tonic sends for an error.
fn to_tonic(error: Error, request_id: &crate::RequestId) -> tonic::Status {
    let details = if status::has_details(&error) { status::to_status(&error).encode_to_vec() } else { Vec::new() };
    let metadata = MetadataMap::from_headers(answer_headers(error.metadata().clone(), request_id));
    let code = tonic::Code::from_i32(error.code() as i32);
    tonic::Status::with_details_and_metadata(code, error.message(), details.into(), metadata)
}

/// The error that a status from tonic stands for.
fn from_tonic(mut received: tonic::Status) -> Error {
    let metadata = std::mem::take(received.metadata_mut()).into_headers();
    let code = match Code::from_i32(received.code() as i32) {
        Code::OutOfRange if too_large(received.message()).is_some() => Code::ResourceExhausted,
        // tonic watches the deadline, too, and may be first to see it pass.
        Code::Cancelled if expired(&received) => Code::DeadlineExceeded,
        // The connection broke, or closed before the call was sent. tonic has no opinion about whose fault that is.
        Code::Unknown | Code::Cancelled if connection_lost(&received) => Code::Unavailable,
        // The connection was about to end when the call was handed to it, which is no error of anybody's.
        Code::Internal if never_sent(&received) => Code::Unavailable,
        code => code,
    };
    let local = std::error::Error::source(&received).is_some();
    let unprocessed = never_sent(&received);
    let error = match proto_status(&received) {
        Some(status) => status::from_status(status),
        // A status with a cause was made on this side: its text is about sockets, which is nothing for a caller.
        None if local && code == Code::Unavailable => {
            Error::unavailable("the service can't be reached now").with_source(received)
        }
        None if code == Code::DeadlineExceeded && local => {
            Error::deadline_exceeded("the deadline of the call passed before the service answered")
        }
        // The bytes of something else, read as a frame.
        None if not_grpc(received.message()) => {
            Error::unimplemented("what answers there does not speak gRPC: is it the port for HTTP?")
                .with_source(received)
        }
        None if local => Error::new(code, received.message().to_owned()).with_source(received),
        None => Error::new(code, received.message().to_owned()),
    };
    let error = if unprocessed { error.unprocessed() } else { error };
    let mut metadata = metadata;
    super::remove_transport_headers(&mut metadata);
    error.with_received_metadata(crate::Metadata::from_headers(metadata))
}

/// What tonic says of a message over the limit, if that is what it says. Its code for it is OUT_OF_RANGE, every other gRPC
/// has RESOURCE_EXHAUSTED.
fn too_large(message: &str) -> Option<&str> {
    let message = message.strip_prefix("Error, ")?;
    message.contains("message length too large").then_some(message)
}

/// Whether what was answered was read as a frame and is none: the text is tonic's.
fn not_grpc(message: &str) -> bool {
    message.contains("invalid compression flag") && message.contains("while receiving response")
}

fn expired(received: &tonic::Status) -> bool {
    causes(received).any(|error| error.is::<tonic::TimeoutExpired>())
}

/// Whether the transport failed, and not because the peer ended the call.
fn connection_lost(received: &tonic::Status) -> bool {
    let by_peer = |error: &h2::Error| error.is_reset() && error.is_remote();
    std::error::Error::source(received).is_some()
        && !causes(received).any(|error| error.downcast_ref().is_some_and(by_peer))
}

/// Whether the service surely has not seen the call: there was no connection, or the stream was refused, which HTTP/2 allows only
/// before anything was done, or the service had said that its connection ends before this stream (RFC 9113, sections 8.7 and 6.8).
fn never_sent(received: &tonic::Status) -> bool {
    let too_late =
        |error: &h2::Error| error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR);
    let refused = |error: &h2::Error| error.reason() == Some(h2::Reason::REFUSED_STREAM) || too_late(error);
    causes(received).any(|error| error.is::<tonic::ConnectError>() || error.downcast_ref().is_some_and(refused))
}

fn causes(received: &tonic::Status) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(std::error::Error::source(received), |error| error.source())
}

fn proto_status(received: &tonic::Status) -> Option<crate::proto::google::rpc::Status> {
    if received.details().is_empty() {
        return None;
    }
    let status = crate::proto::google::rpc::Status::decode(received.details()).ok()?;
    // The trailers have the last word on the code: details that contradict them are somebody else's.
    (status.code == received.code() as i32).then_some(status)
}
