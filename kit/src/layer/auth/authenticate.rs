use std::{future::Future, pin::Pin};

use serde_json::Value;

use super::Identity;
use crate::{Context, Error};

/// Says who makes a call.
pub trait Authenticate: Send + Sync + 'static {
    /// Who makes the call, by what came with it: [`Context::metadata`], [`Context::peer`] with its address and certificates.
    ///
    /// # Errors
    /// A [`Failure`](super::Failure), or any other `UNAUTHENTICATED`, for a caller that is not known; another code when it can't
    /// be said now. The message is read by the caller, and the log line of the error by people: neither may hold a credential.
    fn authenticate(&self, cx: &Context) -> impl Future<Output = Result<Identity, Error>> + Send;

    /// The scheme that callers are told to use, in `WWW-Authenticate`.
    fn scheme(&self) -> &'static str {
        "Bearer"
    }

    /// What the debug port shows: nothing that is secret.
    fn describe(&self) -> Value {
        Value::Null
    }
}

type BoxFuture<'a> = Pin<Box<dyn Future<Output = Result<Identity, Error>> + Send + 'a>>;

/// The same with its type erased.
pub(super) trait Erased: Send + Sync {
    fn authenticate<'a>(&'a self, cx: &'a Context) -> BoxFuture<'a>;
    fn describe(&self) -> Value;
}

impl<A: Authenticate> Erased for A {
    fn authenticate<'a>(&'a self, cx: &'a Context) -> BoxFuture<'a> {
        Box::pin(Authenticate::authenticate(self, cx))
    }

    fn describe(&self) -> Value {
        Authenticate::describe(self)
    }
}
