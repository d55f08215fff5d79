//! W3C Trace Context, by <https://www.w3.org/TR/trace-context/>.

use zipkin::{SamplingFlags, TraceContext};

use super::{Carrier, Fields, Malformed, Propagation, Remote};
use crate::trace::ids::{self, Hex};

pub(super) use crate::endpoint::trace_headers::{TRACEPARENT, TRACESTATE};

/// `00-` and two ids of 32 and 16 digits, each with a `-`, and the flags.
const LENGTH: usize = 55;

/// The most list members of a `tracestate`, and how much of it everyone has to pass on.
const MOST_MEMBERS: usize = 32;
const LONGEST_STATE: usize = 512;

pub(super) fn extract(fields: &Fields<'_>) -> Result<Option<Remote>, Malformed> {
    let Some(text) = fields.traceparent.read()? else { return Ok(None) };
    let (known, rest) = text.split_at_checked(LENGTH).ok_or(Malformed)?;
    // Upper case is forbidden, other than in B3.
    if known.iter().any(u8::is_ascii_uppercase) {
        return Err(Malformed);
    }
    let mut parts = known.split(|byte| *byte == b'-');
    let (Some(version), Some(trace_id), Some(span_id), Some(flags), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Malformed);
    };
    match (byte(version)?, rest.first()) {
        (0, None) => {}
        // A later version may say more behind what is known.
        (1..=254, None | Some(b'-')) => {}
        _ => return Err(Malformed),
    }
    if trace_id.len() != 32 {
        return Err(Malformed);
    }
    let flags = SamplingFlags::builder().sampled(byte(flags)? & 1 == 1).build();
    let context = TraceContext::builder()
        .trace_id(ids::trace_id(trace_id).ok_or(Malformed)?)
        .span_id(ids::span_id(span_id).ok_or(Malformed)?)
        .sampling_flags(flags)
        .build();
    Ok(Some(Remote { context: Some(context), flags, state: state(&fields.tracestate), format: Propagation::W3c }))
}

fn byte(text: &[u8]) -> Result<u8, Malformed> {
    match text {
        [high, low] => Ok(ids::digit(*high).ok_or(Malformed)? << 4 | ids::digit(*low).ok_or(Malformed)?),
        _ => Err(Malformed),
    }
}

/// The state of all headers of that name; what is no state, or too much of it, is left out, as the specification has it.
fn state(values: &[&[u8]]) -> Option<Box<str>> {
    if values.is_empty() || values.iter().map(|value| value.len() + 1).sum::<usize>() > LONGEST_STATE + 1 {
        return None;
    }
    let text = String::from_utf8(values.join(&b',')).ok()?;
    let members = text.split(',').map(str::trim).filter(|member| !member.is_empty());
    let well_formed = members.clone().count() <= MOST_MEMBERS
        && members.clone().all(|member| {
            let printable = member.bytes().all(|byte| (0x20..0x7f).contains(&byte));
            printable && member.split_once('=').is_some_and(|(key, value)| !key.is_empty() && !value.is_empty())
        });
    let text = members.collect::<Vec<_>>().join(",");
    (well_formed && !text.is_empty()).then(|| text.into())
}

pub(super) fn inject(carrier: &mut impl Carrier, context: &TraceContext, state: Option<&str>) {
    // Its flag is a decision: `00` would switch recording off for everyone behind us.
    let Some(sampled) = context.sampled() else { return };
    let trace_id = Hex::from(context.trace_id());
    let span_id = Hex::from(context.span_id());
    let flags = if sampled { "01" } else { "00" };
    // An id of 64 bits has its place at the end of one of 128.
    carrier.set(TRACEPARENT, &format!("00-{:0>32}-{}-{flags}", trace_id.as_str(), span_id.as_str()));
    if let Some(state) = state {
        carrier.set(TRACESTATE, state);
    }
}
