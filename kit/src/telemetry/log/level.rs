//! What is logged, changeable while the service runs.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{runtime::Handle, task::AbortHandle};
use tracing::{
    Metadata, Subscriber,
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
    subscriber::Interest,
};
use tracing_subscriber::{
    EnvFilter,
    layer::{Context, Filter},
};

use crate::Error;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Why directives can't be used. A word that is no level would be taken for a target, and a log that is silent for a typo is
/// found out at night.
pub(super) fn parse(level: &str) -> Result<EnvFilter, String> {
    let parts = || level.split(',').map(str::trim).filter(|part| !part.is_empty());
    let unknown = parts().find(|part| !part.contains('=') && !LEVELS.contains(&part.to_ascii_lowercase().as_str()));
    // Would be taken for all of that target.
    let unfinished = parts().find(|part| part.ends_with('='));
    let reason = match (unknown.or(unfinished), EnvFilter::builder().parse(level)) {
        _ if parts().next().is_none() => "it is empty".to_owned(),
        (None, Ok(filter)) => return Ok(filter),
        (Some(part), _) if part.ends_with('=') => format!("{part:?} names no level"),
        (Some(part), _) => format!("{part:?} is no level"),
        (None, Err(e)) => e.to_string(),
    };
    Err(format!("{level:?} can't be read: {reason}; use {}, or target=level pairs", LEVELS.join(", ")))
}

/// The level of a log, as its handle and its layer share it.
pub(super) struct Level {
    // Not tracing_subscriber's reload, which takes a lock that every thread writes to. Mostly not even this is read: tracing
    // keeps for each place in the code whether its lines are wanted.
    current: ArcSwap<Directives>,
    configured: String,
    changes: Mutex<Changes>,
}

struct Directives {
    text: String,
    filter: EnvFilter,
}

#[derive(Default)]
struct Changes {
    /// What holds after a change for a time: the last level that was set for good.
    lasting: Option<String>,
    back: Option<AbortHandle>,
}

impl Level {
    pub(super) fn new(configured: &str) -> Result<Arc<Self>, String> {
        Ok(Arc::new(Self {
            current: ArcSwap::from_pointee(Directives { text: configured.to_owned(), filter: parse(configured)? }),
            configured: configured.to_owned(),
            changes: Mutex::default(),
        }))
    }

    pub(super) fn get(&self) -> String {
        self.current.load().text.clone()
    }

    pub(super) fn set(&self, level: &str) -> Result<(), Error> {
        let filter = parse(level).map_err(|why| Error::invalid_argument(format!("the log level {why}")))?;
        let mut changes = self.changes();
        changes.forget_return();
        changes.lasting = Some(level.to_owned());
        self.store(level, filter);
        Ok(())
    }

    pub(super) fn set_for(self: &Arc<Self>, level: &str, time: Duration) -> Result<(), Error> {
        let filter = parse(level).map_err(|why| Error::invalid_argument(format!("the log level {why}")))?;
        if time.is_zero() {
            return Err(Error::invalid_argument("a log level for no time changes nothing: give a time such as 10m"));
        }
        let runtime = Handle::try_current().map_err(|e| {
            Error::failed_precondition("a log level for a time needs a Tokio runtime, to go back in").with_source(e)
        })?;
        let mut changes = self.changes();
        changes.forget_return();
        self.store(level, filter);
        let this = Arc::clone(self);
        let back = runtime.spawn(async move {
            tokio::time::sleep(time).await;
            this.go_back();
        });
        changes.back = Some(back.abort_handle());
        Ok(())
    }

    pub(super) fn reset(&self) {
        let mut changes = self.changes();
        changes.forget_return();
        changes.lasting = None;
        self.restore(&changes);
    }

    /// Ends the task that would bring the level back.
    pub(super) fn stop(&self) {
        self.changes().forget_return();
    }

    fn go_back(&self) {
        let mut changes = self.changes();
        // Another change that came at the same moment has forgotten this one.
        if changes.back.take().is_some_and(|back| tokio::task::try_id().is_none_or(|id| back.id() == id)) {
            self.restore(&changes);
        }
    }

    fn restore(&self, changes: &Changes) {
        let text = changes.lasting.as_deref().unwrap_or(&self.configured);
        // It was read before.
        if let Ok(filter) = parse(text) {
            self.store(text, filter);
        }
    }

    fn store(&self, text: &str, filter: EnvFilter) {
        self.current.store(Arc::new(Directives { text: text.to_owned(), filter }));
        tracing::callsite::rebuild_interest_cache();
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Changes {
    fn forget_return(&mut self) {
        if let Some(back) = self.back.take() {
            back.abort();
        }
    }
}

/// Lets through what the level of the moment wants.
pub(super) struct LiveFilter(pub(super) Arc<Level>);

impl<S: Subscriber> Filter<S> for LiveFilter {
    fn enabled(&self, metadata: &Metadata<'_>, cx: &Context<'_, S>) -> bool {
        Filter::<S>::enabled(&self.0.current.load().filter, metadata, cx)
    }
    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        Filter::<S>::callsite_enabled(&self.0.current.load().filter, metadata)
    }
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Filter::<S>::max_level_hint(&self.0.current.load().filter)
    }
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, cx: Context<'_, S>) {
        Filter::<S>::on_new_span(&self.0.current.load().filter, attributes, id, cx);
    }
    fn on_record(&self, id: &Id, values: &Record<'_>, cx: Context<'_, S>) {
        Filter::<S>::on_record(&self.0.current.load().filter, id, values, cx);
    }
    fn on_enter(&self, id: &Id, cx: Context<'_, S>) {
        Filter::<S>::on_enter(&self.0.current.load().filter, id, cx);
    }
    fn on_exit(&self, id: &Id, cx: Context<'_, S>) {
        Filter::<S>::on_exit(&self.0.current.load().filter, id, cx);
    }
    fn on_close(&self, id: Id, cx: Context<'_, S>) {
        Filter::<S>::on_close(&self.0.current.load().filter, id, cx);
    }
}
