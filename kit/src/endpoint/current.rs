//! The call that the running task serves: what a log formatter reads, so that every line has the ids of its call.
//!
//! A task-local rather than a span per call: entering a span costs more than most handlers, and a task that is spawned
//! inside a handler is another task (give it the context by [`scope`]).
//!
//! ```
//! use kit::{Context, endpoint::current::{self, Ids}};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let cx = Context::background();
//! // A task of its own logs as part of the call that it was spawned for.
//! let task = tokio::spawn(current::scope(Ids::from(&cx), async { current::get().map(|ids| ids.request_id) }));
//! assert_eq!(task.await.unwrap(), Some(cx.request_id().clone()));
//! # });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::future::Future;

use super::{Context, Method, RequestId};

/// The ids of a call.
#[derive(Clone, Debug)]
pub struct Ids {
    /// The id of the request.
    pub request_id: RequestId,
    /// The method that is called.
    pub method: Option<Method>,
}

tokio::task_local! {
    static CURRENT: Ids;
}

impl From<&Context> for Ids {
    fn from(cx: &Context) -> Self {
        Self { request_id: cx.request_id().clone(), method: cx.method().cloned() }
    }
}

/// Runs a future as part of the call that `ids` belong to.
pub fn scope<F: Future>(ids: Ids, future: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(ids, future)
}

pub(crate) type Scoped<F> = tokio::task::futures::TaskLocalFuture<Ids, F>;

pub(crate) fn scoped<F: Future>(ids: Ids, future: F) -> Scoped<F> {
    CURRENT.scope(ids, future)
}

/// Runs a function as part of the call that `ids` belong to.
pub fn enter<T>(ids: Ids, function: impl FnOnce() -> T) -> T {
    CURRENT.sync_scope(ids, function)
}

/// The ids of the call that is running, if one is.
pub fn get() -> Option<Ids> {
    CURRENT.try_with(Ids::clone).ok()
}
