//! Spans and events of `tracing` inside a call become part of its trace.
//!
//! An event becomes an annotation of the span that is open, a span becomes a child span with its fields as tags. What is
//! logged outside of a call, or in one that is not recorded, costs a look and nothing else. The layer knows no tracer: it
//! reads [`crate::endpoint::current`], so one subscriber does for all services of a process.
//!
//! The access log stands for the span of the call itself and is left out, and so is what the reporter of spans says of itself.
//!
//! ```
//! use kit::telemetry::{log::LogConfig, spans};
//! use tracing_subscriber::layer::SubscriberExt as _;
//!
//! let subscriber = tracing_subscriber::registry().with(LogConfig::default().layer()?).with(spans::layer(tracing::Level::INFO));
//! # let _ = subscriber;
//! # Ok::<(), kit::Error>(())
//! ```

use std::fmt::{Debug, Write as _};

use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer,
    filter::{FilterFn, LevelFilter},
    layer::Context,
    registry::LookupSpan,
};

use crate::{
    endpoint::current::{self, entered},
    trace::{OpenSpan, Span},
};

/// A layer for a subscriber of `tracing`: what is at least as important as `level` becomes part of the traces.
pub fn layer<S>(level: Level) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let wanted = move |metadata: &Metadata<'_>| *metadata.level() <= level && !is_ours(metadata.target());
    SpanLayer(()).with_filter(FilterFn::new(wanted).with_max_level_hint(LevelFilter::from_level(level)))
}

/// Whether it is said by the kit of what a trace has anyway.
fn is_ours(target: &str) -> bool {
    target == "kit::access" || target.starts_with("kit::telemetry::reporter")
}

/// Makes spans and annotations: see the [module](self).
struct SpanLayer(());

impl<S> Layer<S> for SpanLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, cx: Context<'_, S>) {
        let Some(span) = cx.span(id) else { return };
        // The open span of the call knows of a scope that was opened inside of an entered span; the registry does not.
        let parent = match attributes.is_contextual() {
            true => current::span(),
            false => span.parent().and_then(|parent| opened(parent.extensions().get::<OpenSpan>())),
        };
        let Some(parent) = parent.filter(Span::is_recorded) else { return };
        let child = parent.child(attributes.metadata().name());
        if let Some(child) = child.span() {
            attributes.record(&mut Tags(child));
        }
        span.extensions_mut().insert(child);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, cx: Context<'_, S>) {
        // A handle of its own, so that no lock is held while a value shows itself: that may log.
        if let Some(span) = cx.span(id).and_then(|span| opened(span.extensions().get::<OpenSpan>())) {
            values.record(&mut Tags(&span));
        }
    }

    fn on_event(&self, event: &Event<'_>, cx: Context<'_, S>) {
        let span = match event.is_contextual() {
            true => current::span(),
            false => cx.event_span(event).and_then(|span| opened(span.extensions().get::<OpenSpan>())),
        };
        let Some(span) = span.filter(Span::is_recorded) else { return };
        let mut text = Text::default();
        event.record(&mut text);
        span.annotate(format!("{}{}", text.message, text.fields));
    }

    fn on_enter(&self, id: &Id, cx: Context<'_, S>) {
        if let Some(span) = cx.span(id).and_then(|span| opened(span.extensions().get::<OpenSpan>())) {
            entered::enter(span);
        }
    }

    fn on_exit(&self, id: &Id, cx: Context<'_, S>) {
        if let Some(span) = cx.span(id).and_then(|span| opened(span.extensions().get::<OpenSpan>())) {
            entered::exit(&span);
        }
    }

    fn on_close(&self, id: Id, cx: Context<'_, S>) {
        let open = cx.span(&id).and_then(|span| span.extensions_mut().remove::<OpenSpan>());
        // Ends here, outside of the lock on the extensions: what takes it may log.
        drop(open);
    }
}

fn opened(open: Option<&OpenSpan>) -> Option<Span> {
    open.and_then(OpenSpan::span).cloned()
}

/// Writes fields as tags.
struct Tags<'a>(&'a Span);

impl Visit for Tags<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.tag(field.name(), format!("{value:?}"));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.tag(field.name(), value.to_owned());
    }
}

/// Writes an event as one text.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing into memory does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message.push_str(value),
            name => drop(write!(self.fields, " {name}={value}")),
        }
    }
}
