use std::{
    fmt::{Debug, Write as _},
    io::Write as _,
};

use tracing::{
    Level,
    field::{Field, Visit},
};

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

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.message.push_str(&self.mask.text(&format!("{value:?}")));
        } else {
            let text = format!("{value:?}");
            let _ = write!(self.others, " {}={}", field.name(), one_line(&self.mask.value(field.name(), &text)));
        }
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(&self.mask.text(value));
        } else {
            let _ = write!(self.others, " {}={}", field.name(), one_line(&self.mask.value(field.name(), value)));
        }
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        let _ = write!(self.others, " {}={value}", field.name());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        let _ = write!(self.others, " {}={value}", field.name());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        let _ = write!(self.others, " {}={value}", field.name());
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        let _ = write!(self.others, " {}={value:.3}", field.name());
    }
}
