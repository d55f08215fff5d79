use std::fmt::Debug;

use serde::ser::{SerializeMap as _, Serializer as _};
use serde_json::Value;
use tracing::field::{Field, Visit};

use super::RESERVED;
use crate::{endpoint::current::Ids, mask::Mask};

/// Writes an event as one JSON object.
pub(super) fn write(line: &mut Vec<u8>, event: &tracing::Event<'_>, ids: Option<&Ids>, mask: &Mask) {
    let mut fields = Fields { mask, message: String::new(), others: Vec::new() };
    event.record(&mut fields);
    let metadata = event.metadata();
    let mut out = serde_json::Serializer::new(line);
    let mut write = || {
        let mut map = out.serialize_map(None)?;
        map.serialize_entry("timestamp", &super::time::now())?;
        map.serialize_entry("level", metadata.level().as_str())?;
        map.serialize_entry("target", metadata.target())?;
        map.serialize_entry("message", &fields.message)?;
        if let Some(ids) = ids {
            map.serialize_entry("request_id", ids.request_id.as_str())?;
            #[cfg(feature = "trace")]
            if let Some(span) = &ids.span {
                map.serialize_entry("trace_id", span.trace_id().as_str())?;
                map.serialize_entry("span_id", span.id().as_str())?;
            }
            if let Some(method) = &ids.method {
                map.serialize_entry("method", method.path.trim_start_matches('/'))?;
            }
        }
        for (name, value) in &fields.others {
            // A second member of the same name is no JSON that a log pipeline takes.
            if RESERVED.contains(name) {
                map.serialize_entry(&format!("field.{name}"), value)?;
            } else {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()
    };
    // Writing into memory fails only for values that JSON can't hold, and there are none left.
    let _: Result<(), serde_json::Error> = write();
}

struct Fields<'a> {
    mask: &'a Mask,
    message: String,
    others: Vec<(&'static str, Value)>,
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.message.push_str(&self.mask.text(&format!("{value:?}")));
        } else {
            let text = format!("{value:?}");
            self.others.push((field.name(), self.mask.value(field.name(), &text).into()));
        }
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(&self.mask.text(value));
        } else {
            self.others.push((field.name(), self.mask.value(field.name(), value).into()));
        }
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.others.push((field.name(), value.into()));
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.others.push((field.name(), value.into()));
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.others.push((field.name(), value.into()));
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.others.push((field.name(), value.into()));
    }
}
