//! Where an error was made: kept only while somebody wants to know.

use std::{
    backtrace::Backtrace,
    cell::Cell,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::{Class, Code};

thread_local! {
    static WANTED: Cell<bool> = const { Cell::new(false) };
}

/// Runs a function; errors of class [`Class::Fault`] that are made in it know their stack.
///
/// A flag of the thread, because an error is made where nothing of the call is at hand. What stands outside of the call on the
/// stack is not of interest: whoever shows a stack cuts it at this function.
pub(crate) fn capturing<T>(wanted: bool, function: impl FnOnce() -> T) -> T {
    struct Back(bool);
    impl Drop for Back {
        fn drop(&mut self) {
            WANTED.set(self.0);
        }
    }
    let _back = Back(WANTED.replace(wanted));
    function()
}

pin_project! {
    /// A future that runs as [`capturing`] runs a function.
    #[derive(Debug)]
    pub struct Capturing<F> {
        wanted: bool,
        #[pin]
        inner: F,
    }
}

impl<F> Capturing<F> {
    pub(crate) fn new(wanted: bool, inner: F) -> Self {
        Self { wanted, inner }
    }
}

impl<F: Future> Future for Capturing<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        capturing(*this.wanted, || this.inner.poll(cx))
    }
}

/// Taking a stack is some microseconds; making it readable, which costs a thousand times that, is left to who reads it.
pub(super) fn capture(code: Code) -> Option<Arc<Backtrace>> {
    (code.class() == Class::Fault && WANTED.get()).then(|| Arc::new(Backtrace::force_capture()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn stacks_are_taken_of_faults_and_only_when_they_are_wanted() {
        assert!(Error::internal("x").stack().is_none());
        let (fault, mistake, unwanted) = capturing(true, || {
            let unwanted = capturing(false, || Error::internal("x"));
            (Error::internal("x"), Error::not_found("x"), unwanted)
        });
        assert!(fault.stack().unwrap().to_string().contains("stacks_are_taken_of_faults"));
        assert!(mistake.stack().is_none() && unwanted.stack().is_none());
        assert!(Error::internal("x").stack().is_none());
    }
}
