//! B3, by <https://github.com/openzipkin/b3-propagation>.

use zipkin::{SamplingFlags, SpanId, TraceContext};

use super::{Carrier, Field, Fields, Malformed, Propagation, Remote};
use crate::trace::ids::{self, Hex};

pub(super) use crate::endpoint::trace_headers::{
    B3 as SINGLE, B3_FLAGS as FLAGS, B3_PARENT_ID as PARENT_ID, B3_SAMPLED as SAMPLED, B3_SPAN_ID as SPAN_ID,
    B3_TRACE_ID as TRACE_ID,
};

pub(super) fn extract_single(fields: &Fields<'_>) -> Result<Option<Remote>, Malformed> {
    let Some(text) = fields.b3.read()? else { return Ok(None) };
    let mut parts = text.split(|byte| *byte == b'-');
    let (first, second, third, fourth) = (parts.next(), parts.next(), parts.next(), parts.next());
    if parts.next().is_some() {
        return Err(Malformed);
    }
    let Some(span_id) = second else {
        // A decision without ids.
        return Ok(Some(remote(None, state(text)?, Propagation::B3Single)));
    };
    let flags = third.map_or(Ok(SamplingFlags::default()), state)?;
    let context = context(first.unwrap_or_default(), span_id, fourth, flags)?;
    Ok(Some(remote(Some(context), flags, Propagation::B3Single)))
}

fn state(text: &[u8]) -> Result<SamplingFlags, Malformed> {
    match text {
        b"0" => Ok(flags(Some(false), false)),
        b"1" => Ok(flags(Some(true), false)),
        b"d" => Ok(flags(None, true)),
        _ => Err(Malformed),
    }
}

pub(super) fn extract_multi(fields: &Fields<'_>) -> Result<Option<Remote>, Malformed> {
    let all = [fields.trace_id, fields.span_id, fields.parent_id, fields.sampled, fields.flags];
    if all.into_iter().all(Field::is_absent) {
        return Ok(None);
    }
    let sampled = match fields.sampled.read()? {
        None => None,
        Some(b"1") => Some(true),
        Some(b"0") => Some(false),
        // Words were sent before the specification was written down, and still are.
        Some(word) if word.eq_ignore_ascii_case(b"true") => Some(true),
        Some(word) if word.eq_ignore_ascii_case(b"false") => Some(false),
        Some(_) => return Err(Malformed),
    };
    let debug = match fields.flags.read()? {
        None | Some(b"0") => false,
        Some(b"1") => true,
        Some(_) => return Err(Malformed),
    };
    let flags = flags(sampled, debug);
    let context = match (fields.trace_id.read()?, fields.span_id.read()?, fields.parent_id.read()?) {
        (Some(trace_id), Some(span_id), parent_id) => Some(context(trace_id, span_id, parent_id, flags)?),
        (None, None, None) => None,
        _ => return Err(Malformed),
    };
    Ok(Some(remote(context, flags, Propagation::B3)))
}

fn flags(sampled: Option<bool>, debug: bool) -> SamplingFlags {
    let mut builder = SamplingFlags::builder();
    if let Some(sampled) = sampled {
        builder.sampled(sampled);
    }
    builder.debug(debug).build()
}

/// What root spans of some senders have as their parent.
const NO_PARENT: &[u8] = b"0000000000000000";

fn context(
    trace_id: &[u8],
    span_id: &[u8],
    parent_id: Option<&[u8]>,
    flags: SamplingFlags,
) -> Result<TraceContext, Malformed> {
    let mut builder = TraceContext::builder();
    builder.trace_id(ids::trace_id(trace_id).ok_or(Malformed)?).span_id(ids::span_id(span_id).ok_or(Malformed)?);
    if let Some(parent_id) = parent_id.filter(|parent_id| *parent_id != NO_PARENT) {
        builder.parent_id(ids::span_id(parent_id).ok_or(Malformed)?);
    }
    Ok(builder.sampling_flags(flags).build())
}

fn remote(context: Option<TraceContext>, flags: SamplingFlags, format: Propagation) -> Remote {
    Remote { context, flags, state: None, format }
}

pub(super) fn inject_single(carrier: &mut impl Carrier, context: &TraceContext) {
    let mut text = String::with_capacity(68);
    text.push_str(Hex::from(context.trace_id()).as_str());
    text.push('-');
    text.push_str(Hex::from(context.span_id()).as_str());
    match (context.debug(), context.sampled()) {
        (true, _) => text.push_str("-d"),
        (false, Some(true)) => text.push_str("-1"),
        (false, Some(false)) => text.push_str("-0"),
        // The parent has its place behind a decision: without one it is left out.
        (false, None) => return carrier.set(SINGLE, &text),
    }
    if let Some(parent_id) = context.parent_id() {
        text.push('-');
        text.push_str(Hex::from(parent_id).as_str());
    }
    carrier.set(SINGLE, &text);
}

pub(super) fn inject_multi(carrier: &mut impl Carrier, context: &TraceContext) {
    let hex = |id: SpanId| Hex::from(id);
    carrier.set(TRACE_ID, Hex::from(context.trace_id()).as_str());
    carrier.set(SPAN_ID, hex(context.span_id()).as_str());
    if let Some(parent_id) = context.parent_id() {
        carrier.set(PARENT_ID, hex(parent_id).as_str());
    }
    match (context.debug(), context.sampled()) {
        // It implies the decision, which is not sent beside it.
        (true, _) => carrier.set(FLAGS, "1"),
        (false, Some(sampled)) => carrier.set(SAMPLED, if sampled { "1" } else { "0" }),
        (false, None) => {}
    }
}
