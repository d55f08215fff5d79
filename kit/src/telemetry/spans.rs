//! Spans and events of `tracing` inside a call become part of its trace.
//!
//! An event becomes an annotation of the span that is open, a span becomes a child span with its fields as tags. What is
//! logged outside of a call, or in one that is not recorded, costs a look and nothing else. The layer knows no tracer: it
//! reads [`crate::endpoint::current`], so one subscriber does for all services of a process.
//!
//! The access log stands for the span of the call itself and is left out, and so are error reports and what the reporter of spans
//! says of itself. Secrets are hidden as they are in the log, if the layer has the [`Mask`] of the log.
//!
//! ```
//! use kit::telemetry::{log::LogConfig, spans};
//! use tracing_subscriber::layer::SubscriberExt as _;
//!
//! let config = LogConfig::default();
//! let spans = spans::layer(tracing::Level::INFO, config.secrets());
//! let subscriber = tracing_subscriber::registry().with(config.layer()?).with(spans);
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
    mask::Mask,
    trace::{OpenSpan, Span},
};

/// A layer for a subscriber of `tracing`: what is at least as important as `level` becomes part of the traces, without what `mask`
/// hides. The mask of the log is [`LogConfig::secrets`](super::log::LogConfig::secrets).
pub fn layer<S>(level: Level, mask: Mask) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let wanted = move |metadata: &Metadata<'_>| *metadata.level() <= level && !is_ours(metadata.target());
    SpanLayer { mask }.with_filter(FilterFn::new(wanted).with_max_level_hint(LevelFilter::from_level(level)))
}

/// Whether it is said by the kit of what a trace has anyway.
fn is_ours(target: &str) -> bool {
    target == "kit::access" || target == "kit::report" || target.starts_with("kit::telemetry::reporter")
}

/// Makes spans and annotations: see the [module](self).
struct SpanLayer {
    mask: Mask,
}

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
            attributes.record(&mut Tags { span: child, mask: &self.mask });
        }
        span.extensions_mut().insert(child);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, cx: Context<'_, S>) {
        // A handle of its own, so that no lock is held while a value shows itself: that may log.
        if let Some(span) = cx.span(id).and_then(|span| opened(span.extensions().get::<OpenSpan>())) {
            values.record(&mut Tags { span: &span, mask: &self.mask });
        }
    }

    fn on_event(&self, event: &Event<'_>, cx: Context<'_, S>) {
        let span = match event.is_contextual() {
            true => current::span(),
            false => cx.event_span(event).and_then(|span| opened(span.extensions().get::<OpenSpan>())),
        };
        let Some(span) = span.filter(Span::is_recorded) else { return };
        let mut text = Text { mask: &self.mask, message: String::new(), fields: String::new() };
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
struct Tags<'a> {
    span: &'a Span,
    mask: &'a Mask,
}

impl Visit for Tags<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.span.tag(field.name(), self.mask.value(field.name(), value).into_owned());
    }
    // Whether there is a secret is none.
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.span.tag(field.name(), if value { "true" } else { "false" });
    }
}

/// Writes an event as one text.
struct Text<'a> {
    mask: &'a Mask,
    message: String,
    fields: String,
}

impl Visit for Text<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message.push_str(&self.mask.text(value)),
            // Writing into memory does not fail.
            name => drop(write!(self.fields, " {name}={}", self.mask.value(name, value))),
        }
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        let _ = write!(self.fields, " {}={value}", field.name());
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::{
        telemetry::log::LogConfig,
        trace::{FinishedSpan, Memory, Sample, TraceConfig, Tracer},
    };

    /// What a trace has of what is logged inside it.
    async fn traced(log: impl FnOnce()) -> FinishedSpan {
        let config = LogConfig { mask: vec!["pin".to_owned()], ..LogConfig::default() };
        let layer = layer(Level::INFO, config.secrets());
        let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
        let spans = Memory::new();
        let settings = TraceConfig { sample: Sample::Always, ..TraceConfig::default() };
        let tracer = Tracer::builder(&settings, "test").export(Some(spans.clone())).build();
        let call = tracer.start("call");
        call.run(async { log() }).await;
        drop(call);
        spans.spans().remove(0)
    }

    #[tokio::test]
    async fn an_event_is_told_without_its_secrets() {
        let span = traced(|| {
            tracing::info!(
                password = "s3cret",
                authorization = %"s3cret",
                user_pin = 53,
                has_password = true,
                tenant = "blue",
                "can't reach mysql://root:s3cret@db/books"
            );
        });
        let [told] = span.await.annotations.try_into().unwrap();
        let expected = "can't reach mysql://root:***@db/books password=*** authorization=*** user_pin=*** has_password=true \
                        tenant=blue";
        assert_eq!(&*told.value, expected);
    }

    #[tokio::test]
    async fn a_span_is_told_without_its_secrets() {
        let span = traced(|| {
            let span = tracing::info_span!("log in", token = "s3cret", user = ?"http://a:s3cret@b", pin = 53);
            span.record("token", "s3cret too");
        });
        let span = span.await;
        let tags: Vec<_> = span.tags.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(tags, [("token", "***"), ("user", "\"http://a:***@b\""), ("pin", "***")]);
    }

    #[tokio::test]
    async fn an_error_report_is_not_told_again() {
        let span = traced(|| tracing::error!(target: "kit::report", "a call failed")).await;
        assert!(span.annotations.is_empty());
    }
}
