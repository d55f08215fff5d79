use std::{
    fmt::{Debug, Display, Write as _},
    io::Write as _,
};

use tracing::{
    Level,
    field::{Field, Visit},
};

use super::RESERVED;
use crate::{endpoint::current::Ids, mask::Mask};

/// Writes an event as one line for people.
pub(super) fn write(line: &mut Vec<u8>, event: &tracing::Event<'_>, ids: Option<&Ids>, coloured: bool, mask: &Mask) {
    let mut fields = Fields { mask, message: String::new(), others: String::new() };
    event.record(&mut fields);
    let metadata = event.metadata();
    let colour = match *metadata.level() {
        Level::ERROR => "31",
        Level::WARN => "33",
        Level::INFO => "32",
        Level::DEBUG => "34",
        Level::TRACE => "35",
    };
    let (on, off) = if coloured { (format!("\u{1b}[{colour}m"), "\u{1b}[0m") } else { (String::new(), "") };
    let (time, level, target) = (super::time::now(), metadata.level(), metadata.target());
    // Writing into memory does not fail.
    let _ = write!(line, "{time} {on}{level:>5}{off} {target}: {}", one_line(&fields.message));
    if let Some(ids) = ids {
        if let Some(method) = &ids.method {
            let _ = write!(line, " method={}", method.path.trim_start_matches('/'));
        }
        let _ = write!(line, " request_id={}", ids.request_id);
        #[cfg(feature = "trace")]
        if let Some(span) = &ids.span {
            let _ = write!(line, " trace_id={} span_id={}", span.trace_id(), span.id());
        }
    }
    line.extend_from_slice(fields.others.as_bytes());
}

/// Keeps what a caller sent from forging lines or colours.
fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

struct Fields<'a> {
    mask: &'a Mask,
    message: String,
    others: String,
}

impl Fields<'_> {
    fn add(&mut self, field: &Field, value: impl Display) {
        // What a field says must not look like what the log says.
        let prefix = if RESERVED.contains(&field.name()) { "field." } else { "" };
        let _ = write!(self.others, " {prefix}{}={value}", field.name());
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(&self.mask.text(value));
        } else {
            self.add(field, one_line(&self.mask.value(field.name(), value)));
        }
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value);
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, format_args!("{value:.3}"));
    }
}
