//! The layers that make lines of events.

use std::{io::Write as _, sync::Arc};

use tracing::{Event, Subscriber};
use tracing_subscriber::{Layer, fmt::MakeWriter, layer::Context, registry::LookupSpan};

use super::{handle::Inner, style::Style};
use crate::mask::Mask;

/// Writes one line an event, into the queue of each sink.
pub(super) struct Queued {
    pub(super) inner: Arc<Inner>,
    pub(super) mask: Mask,
}

impl<S> Layer<S> for Queued
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut written: Option<(Style, Vec<u8>)> = None;
        for (style, queue) in &self.inner.sinks {
            let line = match written.take() {
                Some((of, line)) if of == *style => line,
                _ => style.line(event, &self.mask),
            };
            queue.push(&line);
            written = Some((*style, line));
        }
    }
}

/// Writes one line an event, at once.
pub(super) struct Direct<W> {
    pub(super) writer: W,
    pub(super) style: Style,
    pub(super) mask: Mask,
}

impl<S, W> Layer<S> for Direct<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let line = self.style.line(event, &self.mask);
        // A log that can't be written must not stop the service, and there is nowhere else to say so.
        let _ = self.writer.make_writer_for(event.metadata()).write_all(&line);
    }
}
