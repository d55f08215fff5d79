use std::{
    any::Any,
    backtrace::Backtrace,
    cell::{Cell, RefCell},
    fmt,
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

use crate::Error;

thread_local! {
    static RECOVERING: Cell<bool> = const { Cell::new(false) };
    /// How many panics the hook has seen on this thread.
    static COUNT: Cell<u64> = const { Cell::new(0) };
    /// The last of them.
    static SEEN: RefCell<Option<Seen>> = const { RefCell::new(None) };
}

struct Seen {
    place: String,
    backtrace: Backtrace,
}

/// Puts our hook in front of the process's own, once.
pub(crate) fn install() {
    // The backtrace exists only inside the hook, and a process has one hook: this is the one thing here that can't be
    // passed as a value.
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !RECOVERING.get() {
                return before(info);
            }
            let place = info.location().map_or_else(|| "unknown place".to_owned(), ToString::to_string);
            COUNT.set(COUNT.get().wrapping_add(1));
            SEEN.set(Some(Seen { place, backtrace: Backtrace::force_capture() }));
        }));
    });
}

/// Runs a function; a panic becomes an error and is logged.
pub(crate) fn catch<T>(function: impl FnOnce() -> T) -> Result<T, Error> {
    catch_in(&"a handler", function)
}

/// The same, for a log line that says what panicked.
pub(crate) fn catch_in<T>(what: &dyn fmt::Display, function: impl FnOnce() -> T) -> Result<T, Error> {
    let (before, count) = (RECOVERING.replace(true), COUNT.get());
    // What the function touched is never polled again after a panic, so nothing broken can be seen.
    let result = panic::catch_unwind(AssertUnwindSafe(function));
    RECOVERING.set(before);
    result.map_err(|payload| {
        let message = text(&*payload);
        // What was seen before this function ran, and recovered somewhere else, is no news here.
        let seen = SEEN.take().filter(|_| COUNT.get() != count);
        let place = seen.as_ref().map_or("unknown place", |seen| seen.place.as_str());
        let backtrace = seen.as_ref().map(|seen| seen.backtrace.to_string()).unwrap_or_default();
        tracing::error!(panic = message, place, backtrace, "{what} panicked");
        Error::internal("the service failed to answer; the failure was logged")
            .with_log(format!("panic at {place}: {message}"))
            .of_panic(seen.map(|seen| seen.backtrace))
    })
}

fn text(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "a panic without a text"
    }
}
