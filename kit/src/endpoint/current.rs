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

use std::{
    cell::RefCell,
    future::Future,
    mem,
    pin::Pin,
    task::{Context as TaskContext, Poll},
};

use pin_project_lite::pin_project;

use super::{Context, Method, RequestId};
#[cfg(feature = "trace")]
use crate::trace::{OpenSpan, Span, Text};

/// The ids of a call.
#[derive(Clone, Debug)]
pub struct Ids {
    /// The id of the request.
    pub request_id: RequestId,
    /// The method that is called.
    pub method: Option<Method>,
    /// The span that is open: with a tracer every call has one, recorded or not.
    #[cfg(feature = "trace")]
    pub span: Option<Span>,
}

#[cfg(feature = "trace")]
impl Ids {
    /// The same inside another span.
    #[must_use]
    pub fn with_span(self, span: Option<Span>) -> Self {
        Self { span, ..self }
    }
}

thread_local! {
    // Of the thread, and put in and taken out again around each poll of a task. A task-local of tokio does the same, but gives
    // nothing back at the end of a function: each of the places where a call passes would need a copy of the ids.
    static CURRENT: RefCell<Option<Call>> = const { RefCell::new(None) };
}

/// A call that can be the running one.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    /// By its context, which who serves it has anyway: its ids are read when somebody asks.
    Of(Context),
    /// By what is left of it in a task of its own.
    With(Ids),
}

impl Call {
    fn ids(&self) -> Ids {
        match self {
            Self::Of(context) => context.into(),
            Self::With(ids) => ids.clone(),
        }
    }

    #[cfg(feature = "trace")]
    fn span(&self) -> Option<&Span> {
        match self {
            Self::Of(context) => context.span(),
            Self::With(ids) => ids.span.as_ref(),
        }
    }
}

/// What is current, and `call` for it. On a thread that ends nothing is.
fn swap(call: &mut Option<Call>) {
    let _ = CURRENT.try_with(|current| mem::swap(&mut *current.borrow_mut(), call));
}

/// Runs a function as part of a call, which comes back also when it panics.
pub(crate) fn within<T>(call: &mut Option<Call>, function: impl FnOnce() -> T) -> T {
    struct Back<'a>(&'a mut Option<Call>);
    impl Drop for Back<'_> {
        fn drop(&mut self) {
            swap(self.0);
        }
    }
    swap(call);
    let _back = Back(call);
    function()
}

fn read<T>(read: impl FnOnce(&Call) -> T) -> Option<T> {
    CURRENT.try_with(|current| current.borrow().as_ref().map(read)).ok().flatten()
}

impl From<&Context> for Ids {
    fn from(cx: &Context) -> Self {
        Self {
            request_id: cx.request_id().clone(),
            method: cx.method().cloned(),
            #[cfg(feature = "trace")]
            span: cx.span().cloned(),
        }
    }
}

/// Runs a future as part of the call that `ids` belong to.
pub fn scope<F: Future>(ids: Ids, future: F) -> Scoped<F> {
    Scoped { call: Some(Call::With(ids)), future: Some(future) }
}

/// Makes a future as part of the call that `ids` belong to, and runs it so.
pub(crate) fn scope_of<F: Future>(ids: Ids, make: impl FnOnce() -> F) -> Scoped<F> {
    let mut call = Some(Call::With(ids));
    let future = within(&mut call, make);
    Scoped { call, future: Some(future) }
}

pin_project! {
    /// The future of [`scope`].
    #[derive(Debug)]
    pub struct Scoped<F> {
        // That of whoever polls, while it is polled.
        call: Option<Call>,
        // `None` when it is over.
        #[pin]
        future: Option<F>,
    }

    impl<F> PinnedDrop for Scoped<F> {
        // What a cancelled call does at last belongs to it, too.
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.future.is_some() {
                within(this.call, || this.future.set(None));
            }
        }
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        within(this.call, || {
            let Some(future) = this.future.as_mut().as_pin_mut() else { return Poll::Pending };
            let polled = future.poll(cx);
            if polled.is_ready() {
                this.future.set(None);
            }
            polled
        })
    }
}

/// Runs a function as part of the call that `ids` belong to.
pub fn enter<T>(ids: Ids, function: impl FnOnce() -> T) -> T {
    within(&mut Some(Call::With(ids)), function)
}

/// The ids of the call that is running, if one is.
pub fn get() -> Option<Ids> {
    let ids = read(Call::ids)?;
    #[cfg(all(feature = "trace", feature = "log"))]
    let ids = match entered::within(ids.span.as_ref()) {
        Some(span) => ids.with_span(Some(span)),
        None => ids,
    };
    Some(ids)
}

/// The span that is open in the running task, if a trace is going on.
#[cfg(feature = "trace")]
pub fn span() -> Option<Span> {
    let span = read(|call| call.span().cloned()).flatten();
    #[cfg(feature = "log")]
    let span = entered::within(span.as_ref()).or(span);
    span
}

/// Opens a span inside the one that is open: for code that is not handed the context of its call.
///
/// ```
/// use kit::endpoint::current;
///
/// let span = current::child_span("price").with_kind(kit::trace::Kind::Client).with_remote("redis", None);
/// span.tag("key", "book:7");
/// // It ends when it is dropped.
/// ```
#[cfg(feature = "trace")]
pub fn child_span(name: impl Into<Text>) -> OpenSpan {
    span().map_or_else(|| OpenSpan::new(None), |span| span.child(name))
}

/// The spans of `tracing` that are entered on this thread. A task-local can't be set from inside the future that it belongs
/// to, which is where such a span is entered.
#[cfg(all(feature = "trace", feature = "log"))]
pub(crate) mod entered {
    use std::cell::RefCell;

    use crate::trace::Span;

    thread_local! {
        /// Innermost last: the span of the call that was open, and the one that was entered inside it.
        static ENTERED: RefCell<Vec<(Option<Span>, Span)>> = const { RefCell::new(Vec::new()) };
    }

    /// The innermost span that was entered inside `base`; none when a scope was opened inside of that again.
    pub(super) fn within(base: Option<&Span>) -> Option<Span> {
        ENTERED.with_borrow(|entered| {
            let (outer, inner) = entered.last()?;
            let same = match (outer, base) {
                (Some(outer), Some(base)) => outer.is(base),
                (None, None) => true,
                _ => false,
            };
            same.then(|| inner.clone())
        })
    }

    pub(crate) fn enter(span: Span) {
        let base = super::read(|call| call.span().cloned()).flatten();
        ENTERED.with_borrow_mut(|entered| entered.push((base, span)));
    }

    pub(crate) fn exit(span: &Span) {
        // Dropped outside of the borrow: it may be the last handle.
        let exited = ENTERED.with_borrow_mut(|entered| {
            let at = entered.iter().rposition(|(_, inner)| inner.is(span))?;
            Some(entered.remove(at))
        });
        drop(exited);
    }
}
