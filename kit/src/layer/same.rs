//! When two calls are the same, for layers that answer one with the outcome of another.

use std::collections::BTreeSet;

use http::HeaderName;

use crate::{
    Context, Error, Idempotency, Metadata, Method, Payload, Request, endpoint::trace_headers, layer::auth::Identity,
    validate::Violations,
};

/// Metadata that says who calls.
const IDENTITY: [&str; 2] = ["authorization", "cookie"];

/// The largest request that is compared: what Linkerd keeps of one to replay it.
pub(super) const MAX_REQUEST: u64 = 64 * 1024;

/// Metadata of an answer that belongs to the one call that it was made for, beside the headers of its trace.
const PER_CALL: [&str; 9] = [
    "age",
    "date",
    "ratelimit",
    "ratelimit-limit",
    "ratelimit-remaining",
    "ratelimit-reset",
    "server-timing",
    "set-cookie",
    "x-request-id",
];

/// What makes calls of one method the same beside the message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vary<'a> {
    pub(super) names: &'a BTreeSet<String>,
    pub(super) per_caller: bool,
    pub(super) max_request: u64,
}

impl Vary<'_> {
    /// Bytes that are the same for calls that are the same, and for no others. `None` for a call that is compared with none: a stream,
    /// or one whose request is too large.
    pub(super) fn key<Req: Payload>(self, method: &Method, cx: &Context, message: &Req) -> Option<Vec<u8>> {
        if Req::IS_STREAM || message.encoded_len() as u64 > self.max_request {
            return None;
        }
        let mut key = Vec::new();
        part(&mut key, method.path.as_bytes());
        part(&mut key, &message.to_key()?);
        if self.per_caller {
            for name in IDENTITY {
                values(&mut key, cx.metadata(), name);
            }
            // Whom an authenticator found, by whatever it went.
            let identity = cx.extension::<Identity>();
            part(&mut key, identity.and_then(Identity::issuer).unwrap_or_default().as_bytes());
            part(&mut key, identity.map(Identity::subject).unwrap_or_default().as_bytes());
            // Of a caller who showed one that is who it is.
            let certificate = cx.peer().and_then(|peer| peer.certificates.first());
            part(&mut key, certificate.map_or(&[], Vec::as_slice));
        }
        for name in self.names {
            values(&mut key, cx.metadata(), name);
        }
        Some(key)
    }

    /// The same of a request.
    pub(super) fn key_of<Req: Payload>(self, method: &Method, request: &Request<Req>) -> Option<Vec<u8>> {
        self.key(method, request.context(), request.message())
    }
}

fn part(key: &mut Vec<u8>, bytes: &[u8]) {
    key.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    key.extend_from_slice(bytes);
}

fn values(key: &mut Vec<u8>, metadata: &Metadata, name: &str) {
    let values = metadata.headers().get_all(name);
    // How many come, so that none is taken for one of another name.
    key.extend_from_slice(&(values.iter().count() as u64).to_be_bytes());
    for value in values {
        part(key, value.as_bytes());
    }
}

/// What of an answer's metadata may go to others than its caller.
pub(super) fn shared_metadata(metadata: &Metadata) -> Metadata {
    let mut shared = Metadata::new();
    if !metadata.is_empty() {
        shared.copy_where(metadata, |name| !PER_CALL.contains(&name) && !trace_headers::is_one(name));
    }
    shared
}

/// An error of another's call, as it may go to a caller who shares it.
pub(super) fn shared_error(error: &Error) -> Error {
    let metadata = shared_metadata(error.metadata());
    error.share().with_only_metadata(metadata)
}

/// Whether both sides of a method are one message, and it says that it changes nothing.
pub(super) fn only_reads(method: &Method) -> bool {
    method.idempotency == Idempotency::NoSideEffects
}

pub(super) fn streams(method: &Method) -> bool {
    method.kind.client_streams() || method.kind.server_streams()
}

/// What settings call a method: its name, or with its service.
pub(super) fn names_of(method: &Method) -> [&str; 2] {
    [method.path.trim_start_matches('/'), &method.name]
}

pub(super) fn check_vary(names: &BTreeSet<String>, report: &mut Violations) {
    for name in names {
        let lower = HeaderName::from_bytes(name.as_bytes()).is_ok_and(|parsed| parsed.as_str() == name);
        let why = || format!("has {name:?}, which is no name of metadata: write it in lower case, as in x-tenant");
        if !lower {
            report.add("vary", why());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MethodInfo, MethodKind};

    fn method(name: &'static str) -> Method {
        Method::from(MethodInfo::new("demo.Demo", name, MethodKind::Unary))
    }

    fn sent(pairs: &[(&str, &str)]) -> Context {
        let mut cx = Context::background();
        for (name, value) in pairs {
            cx.metadata_mut().append(name, value).unwrap();
        }
        cx
    }

    #[test]
    fn who_calls_and_what_is_named_tells_calls_apart() {
        let names: BTreeSet<_> = ["x-tenant".to_owned(), "x-zone".to_owned()].into();
        let vary = Vary { names: &names, per_caller: true, max_request: 100 };
        let key = |vary: Vary<'_>, pairs: &[_], message: &str| {
            vary.key(&method("Read"), &sent(pairs), &message.to_owned()).unwrap()
        };
        let plain = key(vary, &[], "a");
        assert_eq!(key(vary, &[("x-other", "1")], "a"), plain);
        for (pairs, message) in [
            (vec![], "b"),
            (vec![("authorization", "one")], "a"),
            (vec![("authorization", "other")], "a"),
            (vec![("cookie", "one")], "a"),
            (vec![("x-tenant", "one")], "a"),
            (vec![("x-zone", "one")], "a"),
            (vec![("x-zone", "one"), ("x-zone", "one")], "a"),
        ] {
            assert_ne!(key(vary, &pairs, message), plain, "{pairs:?}");
        }
        assert_ne!(key(vary, &[("x-zone", "one")], "a"), key(vary, &[("x-tenant", "one")], "a"));
        let public = Vary { per_caller: false, ..vary };
        assert_eq!(key(public, &[("authorization", "one")], "a"), key(public, &[], "a"));
        assert_ne!(
            vary.key(&method("Read"), &sent(&[]), &"a".to_owned()),
            vary.key(&method("List"), &sent(&[]), &"a".to_owned())
        );
        assert_eq!(vary.key(&method("Read"), &sent(&[]), &"a".repeat(200)), None);
    }

    /// An authenticator may go by any header: whom it found tells calls apart where no header does.
    #[test]
    fn callers_with_an_identity_are_told_apart_by_it() {
        let none = BTreeSet::new();
        let vary = Vary { names: &none, per_caller: true, max_request: 100 };
        let key = |vary: Vary<'_>, identity: Option<Identity>| {
            let mut cx = Context::background();
            identity.into_iter().for_each(|identity| cx.set_extension(identity));
            vary.key(&method("Read"), &cx, &"a".to_owned()).unwrap()
        };
        let (ann, bob) = (|| Some(Identity::new("ann")), Some(Identity::new("bob")));
        assert_eq!(key(vary, ann()), key(vary, ann()));
        assert_ne!(key(vary, ann()), key(vary, bob.clone()));
        assert_ne!(key(vary, ann()), key(vary, None));
        assert_ne!(key(vary, ann()), key(vary, ann().map(|ann| ann.with_issuer("elsewhere"))));
        let public = Vary { per_caller: false, ..vary };
        assert_eq!(key(public, ann()), key(public, bob));
    }

    #[test]
    fn what_belongs_to_one_call_is_not_shared() {
        let mut metadata = Metadata::new();
        for (name, value) in [
            ("set-cookie", "session=1"),
            ("x-request-id", "1"),
            ("traceparent", "1"),
            ("x-b3-traceid", "1"),
            ("x-books", "7"),
            ("x-books", "8"),
        ] {
            metadata.append(name, value).unwrap();
        }
        let shared = shared_metadata(&metadata);
        assert_eq!(shared.iter().collect::<Vec<_>>(), [("x-books", "7"), ("x-books", "8")]);
    }
}
