//! Whether a service at the other end wants calls.

use std::borrow::Cow;

use super::{Channel, Kind};
use crate::{Connect, Context, Error, Idempotency, Method, MethodInfo, MethodKind, Request};

/// The method of <https://github.com/grpc/grpc-proto/blob/master/grpc/health/v1/health.proto>. Its messages have one field each,
/// with the number and the type that the wrappers of protobuf have.
#[cfg(feature = "grpc")]
static GRPC: MethodInfo = method("grpc.health.v1.Health", "Check", "/grpc.health.v1.Health/Check", &[]);
/// SERVING of its `ServingStatus`.
#[cfg(feature = "grpc")]
const SERVING: i32 = 1;

#[cfg(feature = "http")]
static HTTP: MethodInfo = method("", "readyz", "/readyz", &[READYZ]);
#[cfg(feature = "http")]
const READYZ: crate::HttpRule = crate::HttpRule {
    method: Cow::Borrowed("GET"),
    template: Cow::Borrowed("/readyz"),
    body: crate::RuleBody::None,
    response_body: None,
    field_mask: None,
};

const fn method(
    service: &'static str,
    name: &'static str,
    path: &'static str,
    http: &'static [crate::HttpRule],
) -> MethodInfo {
    MethodInfo {
        service: Cow::Borrowed(service),
        name: Cow::Borrowed(name),
        path: Cow::Borrowed(path),
        kind: MethodKind::Unary,
        idempotency: Idempotency::NoSideEffects,
        http: Cow::Borrowed(http),
    }
}

impl Channel {
    /// Asks whether a service, `package.Service`, wants calls: by the health protocol of gRPC, or by `GET /readyz`, which tells
    /// of the whole process. A `Server` answers both
    /// from what its checks found last, so this costs nothing there: fit for an informational check of one's own.
    ///
    /// # Errors
    /// `UNAVAILABLE` when it does not, or is not there; `NOT_FOUND` when there is no such service, `UNIMPLEMENTED` when the
    /// other side does not speak of its health; `DEADLINE_EXCEEDED` by the context.
    ///
    /// # Cancel safety
    /// Reads only.
    pub async fn check(&self, cx: &Context, service: &str) -> Result<(), Error> {
        match &self.0 {
            #[cfg(feature = "grpc")]
            Kind::Grpc(channel) => {
                let method = Method::from_static(&GRPC);
                let endpoint = channel.unary::<String, i32>(&method);
                let status = *endpoint.call(Request::new(cx.next(&method), service.to_owned())).await?.message();
                if status == SERVING {
                    return Ok(());
                }
                Err(Error::unavailable(format!("{service} is there and says that it is not serving")))
            }
            #[cfg(feature = "http")]
            Kind::Http(channel) => {
                let _ = service;
                let method = Method::from_static(&HTTP);
                let endpoint = channel.unary::<(), crate::proto::google::api::HttpBody>(&method);
                endpoint.call(Request::new(cx.next(&method), ())).await.map(|_| ())
            }
        }
    }
}
