//! How a trace travels beside a message: B3 in one header or in several, and W3C Trace Context.
//!
//! All formats are read; which one is written is configuration ([`Propagation`]). What was there of the other formats is
//! taken out when one is written, so that no hop sees the ids of an earlier one. Works on any [`Carrier`].
//!
//! W3C Trace Context can't leave the decision about recording to the next service. A trace about which nothing was decided is
//! not written in it.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use zipkin::{SamplingFlags, TraceContext};

use crate::{Metadata, endpoint::trace_headers::ALL as HEADERS};

mod b3;
mod w3c;

/// A format in which a trace travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Propagation {
    /// `X-B3-TraceId`, `X-B3-SpanId`, ...: what Zipkin's own libraries, Envoy and Istio send unless told otherwise. The
    /// default, because Zipkin is where spans mostly go.
    #[default]
    #[serde(rename = "b3")]
    B3,
    /// The one header `b3`.
    #[serde(rename = "b3-single")]
    B3Single,
    /// `traceparent` and `tracestate` of W3C Trace Context: what OpenTelemetry sends unless told otherwise.
    #[serde(rename = "w3c")]
    W3c,
}

impl Propagation {
    /// Whether server and client may share one span: a rule of B3, there is none such in W3C.
    pub(super) const fn is_b3(self) -> bool {
        matches!(self, Self::B3 | Self::B3Single)
    }
}

/// What carries names and values beside a message: HTTP headers, gRPC metadata, the headers of a queue's message.
///
/// Implemented for [`http::HeaderMap`], [`Metadata`] and `BTreeMap<String, String>`. Names of headers are the same in upper
/// and in lower case; here they are asked for in lower case.
pub trait Carrier {
    /// Shows every name with its value, a name once for each of its values.
    fn each<'a>(&'a self, see: impl FnMut(&'a str, &'a [u8]));
    /// Sets a value in the place of all that had its name.
    fn set(&mut self, name: &'static str, value: &str);
    /// Takes a name out.
    fn remove(&mut self, name: &'static str);
}

impl Carrier for HeaderMap {
    fn each<'a>(&'a self, mut see: impl FnMut(&'a str, &'a [u8])) {
        for (name, value) in self {
            see(name.as_str(), value.as_bytes());
        }
    }
    fn set(&mut self, name: &'static str, value: &str) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
            self.insert(name, value);
        }
    }
    fn remove(&mut self, name: &'static str) {
        HeaderMap::remove(self, name);
    }
}

impl Carrier for Metadata {
    fn each<'a>(&'a self, see: impl FnMut(&'a str, &'a [u8])) {
        self.headers().each(see);
    }
    fn set(&mut self, name: &'static str, value: &str) {
        // What is sent here are digits, letters and what was checked when it came.
        let _ = self.insert(name, value);
    }
    fn remove(&mut self, name: &'static str) {
        Metadata::remove(self, name);
    }
}

impl Carrier for BTreeMap<String, String> {
    fn each<'a>(&'a self, mut see: impl FnMut(&'a str, &'a [u8])) {
        for (name, value) in self {
            see(name, value.as_bytes());
        }
    }
    fn set(&mut self, name: &'static str, value: &str) {
        Carrier::remove(self, name);
        self.insert(name.to_owned(), value.to_owned());
    }
    fn remove(&mut self, name: &'static str) {
        self.retain(|other, _| !other.eq_ignore_ascii_case(name));
    }
}

/// What a carrier has under one name.
#[derive(Clone, Copy, Default)]
enum Field<'a> {
    #[default]
    Absent,
    One(&'a [u8]),
    /// Which of several holds can't be told.
    Many,
}

impl<'a> Field<'a> {
    fn add(&mut self, value: &'a [u8]) {
        *self = match self {
            Self::Absent => Self::One(value.trim_ascii()),
            Self::One(_) | Self::Many => Self::Many,
        };
    }

    fn is_absent(self) -> bool {
        matches!(self, Self::Absent)
    }

    /// The value, when there is one.
    fn read(self) -> Result<Option<&'a [u8]>, Malformed> {
        match self {
            Self::Absent => Ok(None),
            Self::One(value) => Ok(Some(value)),
            Self::Many => Err(Malformed),
        }
    }
}

/// Headers that can't be what they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Malformed;

#[derive(Default)]
struct Fields<'a> {
    b3: Field<'a>,
    trace_id: Field<'a>,
    span_id: Field<'a>,
    parent_id: Field<'a>,
    sampled: Field<'a>,
    flags: Field<'a>,
    traceparent: Field<'a>,
    tracestate: Vec<&'a [u8]>,
}

impl<'a> Fields<'a> {
    /// One pass over the names that are there: a message has few, and looking up all of ours would hash eight.
    fn of(carrier: &'a impl Carrier) -> Self {
        let mut fields = Self::default();
        carrier.each(|name, value| {
            let is = |ours: &str| name.eq_ignore_ascii_case(ours);
            match name.len() {
                2 if is(b3::SINGLE) => fields.b3.add(value),
                10 if is(b3::FLAGS) => fields.flags.add(value),
                10 if is(w3c::TRACESTATE) => fields.tracestate.push(value),
                11 if is(w3c::TRACEPARENT) => fields.traceparent.add(value),
                11 if is(b3::SPAN_ID) => fields.span_id.add(value),
                12 if is(b3::TRACE_ID) => fields.trace_id.add(value),
                12 if is(b3::SAMPLED) => fields.sampled.add(value),
                17 if is(b3::PARENT_ID) => fields.parent_id.add(value),
                _ => {}
            }
        });
        fields
    }
}

/// What a caller said of its trace.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remote {
    /// The ids; `None` when the caller sent a decision alone.
    pub context: Option<TraceContext>,
    /// What the caller decided about recording. Whether that is obeyed is a matter of trust.
    pub flags: SamplingFlags,
    /// The `tracestate` of W3C, which travels on unchanged.
    pub state: Option<Box<str>>,
    /// The format that it came in.
    pub format: Propagation,
}

/// What is read from a carrier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extracted {
    /// What the caller said, when it said something that makes sense.
    pub remote: Option<Remote>,
    /// How many formats were there and made no sense.
    pub malformed: u32,
}

type Read<'a> = fn(&Fields<'a>) -> Result<Option<Remote>, Malformed>;

/// Reads what a caller said of its trace: in the format that is `first`, or else in the other one. B3 is one format here: where
/// its one header and its several headers are both there, the one header holds, as B3's specification has it.
///
/// Never fails: what is malformed is counted and passed over.
///
/// ```
/// use std::collections::BTreeMap;
/// use kit::trace::{Propagation, extract};
///
/// let headers = BTreeMap::from([("b3".to_owned(), "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1".to_owned())]);
/// let remote = extract(&headers, Propagation::B3).remote.unwrap();
/// assert_eq!(remote.flags.sampled(), Some(true));
/// assert_eq!(remote.context.unwrap().trace_id().to_string(), "80f198ee56343ba864fe8b2a57d3eff7");
/// ```
pub fn extract(carrier: &impl Carrier, first: Propagation) -> Extracted {
    let fields = Fields::of(carrier);
    let mut malformed = 0;
    let (single, multi, w3c): (Read<'_>, Read<'_>, Read<'_>) = (b3::extract_single, b3::extract_multi, w3c::extract);
    for read in if first.is_b3() { [single, multi, w3c] } else { [w3c, single, multi] } {
        match read(&fields) {
            Ok(None) => {}
            Ok(remote) => return Extracted { remote, malformed },
            Err(Malformed) => malformed += 1,
        }
    }
    Extracted { remote: None, malformed }
}

/// Writes a trace in one format, and takes the others out. In W3C one about which nothing was decided is not written.
pub fn inject(carrier: &mut impl Carrier, context: &TraceContext, state: Option<&str>, format: Propagation) {
    for name in HEADERS {
        carrier.remove(name);
    }
    match format {
        Propagation::B3 => b3::inject_multi(carrier, context),
        Propagation::B3Single => b3::inject_single(carrier, context),
        Propagation::W3c => w3c::inject(carrier, context, state),
    }
}

#[cfg(test)]
mod tests;
