use proptest::prelude::*;

use super::*;

/// The examples of the specifications.
const TRACE: &str = "80f198ee56343ba864fe8b2a57d3eff7";
const SPAN: &str = "e457b5a2e4d86bd1";
const PARENT: &str = "05e3ac9a4f6e3b90";
const PARENT_SENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn carrier(headers: &[(&str, &str)]) -> BTreeMap<String, String> {
    headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Trace, span, parent, decision, debug.
type Said = (String, String, Option<String>, Option<bool>, bool);

fn said(remote: &Remote) -> Option<Said> {
    let context = remote.context?;
    let parent = context.parent_id().map(|id| id.to_string());
    let flags = (context.sampled(), context.debug());
    Some((context.trace_id().to_string(), context.span_id().to_string(), parent, flags.0, flags.1))
}

fn ids(trace: &str, span: &str, parent: Option<&str>, sampled: Option<bool>, debug: bool) -> Said {
    (trace.to_owned(), span.to_owned(), parent.map(str::to_owned), sampled, debug)
}

#[test]
fn the_examples_of_the_specifications_are_understood() {
    let multi = [("X-B3-TraceId", TRACE), ("X-B3-ParentSpanId", PARENT), ("X-B3-SpanId", SPAN), ("X-B3-Sampled", "1")];
    let single = format!("{TRACE}-{SPAN}-1-{PARENT}");
    let whole = ids(TRACE, SPAN, Some(PARENT), Some(true), false);
    let w3c = |sampled| ids("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", None, Some(sampled), false);
    for (headers, expected) in [
        (&multi[..], whole.clone()),
        (&[("b3", &*single)], whole),
        (&[("b3", &format!("{TRACE}-{SPAN}"))], ids(TRACE, SPAN, None, None, false)),
        (&[("b3", &format!("{TRACE}-{SPAN}-d-{PARENT}"))], ids(TRACE, SPAN, Some(PARENT), Some(true), true)),
        (&[("b3", &format!("{TRACE}-{SPAN}-0"))], ids(TRACE, SPAN, None, Some(false), false)),
        (
            &[("x-b3-traceid", "a3ce929d0e0e4736"), ("x-b3-spanid", SPAN)],
            ids("a3ce929d0e0e4736", SPAN, None, None, false),
        ),
        (
            &[("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN), ("x-b3-flags", "1")],
            ids(TRACE, SPAN, None, Some(true), true),
        ),
        (
            &[("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN), ("x-b3-sampled", "False")],
            ids(TRACE, SPAN, None, Some(false), false),
        ),
        // The parent of a root, as some write it.
        (
            &[("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN), ("x-b3-parentspanid", "0000000000000000")],
            ids(TRACE, SPAN, None, None, false),
        ),
        (&[("traceparent", PARENT_SENT)], w3c(true)),
        (&[("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")], w3c(false)),
        // Flags and versions of the future.
        (&[("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03")], w3c(true)),
        (&[("traceparent", "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes")], w3c(true)),
        (&[("traceparent", "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")], w3c(true)),
    ] {
        for first in [Propagation::B3, Propagation::B3Single, Propagation::W3c] {
            let found = extract(&carrier(headers), first);
            assert_eq!(found.malformed, 0, "{headers:?}");
            assert_eq!(found.remote.as_ref().and_then(said), Some(expected.clone()), "{headers:?}");
        }
    }
}

#[test]
fn a_decision_may_come_alone() {
    for (headers, sampled, debug) in [
        (&[("b3", "0")][..], Some(false), false),
        (&[("b3", "1")], Some(true), false),
        (&[("b3", "d")], Some(true), true),
        (&[("x-b3-sampled", "0")], Some(false), false),
        (&[("x-b3-flags", "1")], Some(true), true),
    ] {
        let remote = extract(&carrier(headers), Propagation::B3).remote.unwrap();
        assert_eq!((remote.context, remote.flags.sampled(), remote.flags.debug()), (None, sampled, debug));
    }
}

#[test]
fn what_makes_no_sense_is_counted_and_passed_over() {
    let zeros = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
    let no_span = "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01";
    let upper = PARENT_SENT.to_ascii_uppercase();
    let forbidden = PARENT_SENT.replacen("00", "ff", 1);
    let longer = format!("{PARENT_SENT}-01");
    let later = format!("{}x", PARENT_SENT.replacen("00", "01", 1));
    let (empty, short) = (format!("{TRACE}-"), format!("{TRACE}-{SPAN}-1-{PARENT}-1"));
    let (what, parent) = (format!("{TRACE}-{SPAN}-2"), format!("{TRACE}-{SPAN}-1-5"));
    for headers in [
        &[("traceparent", zeros)][..],
        &[("traceparent", no_span)],
        &[("traceparent", &upper)],
        &[("traceparent", &forbidden)],
        &[("traceparent", &longer)],
        &[("traceparent", &later)],
        &[("traceparent", "")],
        &[("traceparent", "00-a3ce929d0e0e4736-00f067aa0ba902b7-01")],
        &[("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1")],
        &[("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e473600-f067aa0ba902b7-01")],
        &[("b3", "")],
        &[("b3", "2")],
        &[("b3", &empty)],
        &[("b3", &short)],
        &[("b3", &what)],
        &[("b3", &parent)],
        &[("x-b3-traceid", TRACE)],
        &[("x-b3-spanid", SPAN)],
        &[("x-b3-parentspanid", SPAN)],
        &[("x-b3-traceid", "0000000000000000"), ("x-b3-spanid", SPAN)],
        &[("x-b3-traceid", "463ac35c9f6413ad48485a3953bb61240"), ("x-b3-spanid", SPAN)],
        &[("x-b3-traceid", TRACE), ("x-b3-spanid", "not hexadecimal!")],
        &[("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN), ("x-b3-sampled", "yes")],
        &[("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN), ("x-b3-flags", "x")],
    ] {
        let found = extract(&carrier(headers), Propagation::B3);
        assert_eq!((found.remote, found.malformed), (None, 1), "{headers:?}");
    }
    // One that is broken does not hide another.
    let found = extract(&carrier(&[("traceparent", zeros), ("b3", "0")]), Propagation::W3c);
    assert_eq!((found.remote.map(|remote| remote.flags.sampled()), found.malformed), (Some(Some(false)), 1));
}

#[test]
fn a_header_that_comes_twice_says_nothing() {
    let mut headers = HeaderMap::new();
    for name in ["traceparent", "b3"] {
        for _ in 0..2 {
            headers.append(name, HeaderValue::from_static(PARENT_SENT));
        }
    }
    assert_eq!(extract(&headers, Propagation::B3), Extracted { remote: None, malformed: 2 });
}

#[test]
fn the_configured_format_wins_and_b3_is_one() {
    let other = "463ac35c9f6413ad48485a3953bb6124";
    let single = ("b3", format!("{TRACE}-{SPAN}-1"));
    let multi = [("x-b3-traceid", other), ("x-b3-spanid", SPAN), ("x-b3-sampled", "0")];
    let b3 = [&[(single.0, &*single.1)][..], &multi].concat();
    let all = carrier(&[&[("traceparent", PARENT_SENT)][..], &b3].concat());
    let format = |headers: &BTreeMap<_, _>, first| extract(headers, first).remote.unwrap().format;
    // The one header holds whichever of the two is written here: the specification of B3 has it so.
    for (first, expected) in [
        (Propagation::B3, Propagation::B3Single),
        (Propagation::B3Single, Propagation::B3Single),
        (Propagation::W3c, Propagation::W3c),
    ] {
        assert_eq!(format(&all, first), expected);
        assert_eq!(format(&carrier(&b3), first), Propagation::B3Single);
        assert_eq!(format(&carrier(&multi), first), Propagation::B3);
    }
    let mixed = carrier(&[&[("traceparent", PARENT_SENT)][..], &multi].concat());
    assert_eq!(format(&mixed, Propagation::B3Single), Propagation::B3);
}

#[test]
fn a_state_travels_on_when_it_is_one() {
    let state = |values: &[&str]| {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", HeaderValue::from_static(PARENT_SENT));
        for value in values {
            headers.append("tracestate", HeaderValue::from_str(value).unwrap());
        }
        extract(&headers, Propagation::W3c).remote.unwrap().state
    };
    assert_eq!(
        state(&["rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"]).as_deref(),
        Some("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")
    );
    assert_eq!(state(&["a=1", " b=2 ,"]).as_deref(), Some("a=1,b=2"));
    for wrong in ["", "a", "=1", "a=", &"a=1,".repeat(33), &format!("a={}", "x".repeat(600))] {
        assert_eq!(state(&[wrong]), None, "{wrong}");
    }
}

fn context(sampled: Option<bool>, debug: bool, parent: bool) -> TraceContext {
    let mut builder = TraceContext::builder();
    builder.trace_id(TRACE.parse().unwrap()).span_id(SPAN.parse().unwrap()).debug(debug);
    if let Some(sampled) = sampled {
        builder.sampled(sampled);
    }
    if parent {
        builder.parent_id(PARENT.parse().unwrap());
    }
    builder.build()
}

#[test]
fn one_format_is_written_and_the_others_are_gone() {
    let stale: Vec<(&str, &str)> = HEADERS.iter().map(|name| (*name, "stale")).collect();
    for (format, context, expected) in [
        (
            Propagation::B3,
            context(Some(true), false, true),
            &[("x-b3-parentspanid", PARENT), ("x-b3-sampled", "1"), ("x-b3-spanid", SPAN), ("x-b3-traceid", TRACE)][..],
        ),
        (Propagation::B3, context(None, false, false), &[("x-b3-spanid", SPAN), ("x-b3-traceid", TRACE)]),
        (
            Propagation::B3,
            context(None, true, false),
            &[("x-b3-flags", "1"), ("x-b3-spanid", SPAN), ("x-b3-traceid", TRACE)],
        ),
        (
            Propagation::B3Single,
            context(Some(true), false, true),
            &[("b3", "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90")],
        ),
        (
            Propagation::B3Single,
            context(None, false, true),
            &[("b3", "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1")],
        ),
        (
            Propagation::B3Single,
            context(None, true, false),
            &[("b3", "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-d")],
        ),
        (
            Propagation::W3c,
            context(Some(true), false, true),
            &[("traceparent", "00-80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-01"), ("tracestate", "a=1")],
        ),
        // A flag of W3C is a decision, so what is not decided is not sent.
        (Propagation::W3c, context(None, false, true), &[]),
        (
            Propagation::W3c,
            context(Some(false), false, true),
            &[("traceparent", "00-80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-00"), ("tracestate", "a=1")],
        ),
    ] {
        let mut map = carrier(&stale);
        map.insert("X-B3-TraceId".to_owned(), "stale in another case".to_owned());
        map.insert("kept".to_owned(), "1".to_owned());
        let mut headers = HeaderMap::new();
        for (name, value) in &stale {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let mut metadata = Metadata::from_headers(headers.clone());
        inject(&mut map, &context, Some("a=1"), format);
        inject(&mut headers, &context, Some("a=1"), format);
        inject(&mut metadata, &context, Some("a=1"), format);
        assert_eq!(map.remove("kept").as_deref(), Some("1"));
        assert_eq!(map, carrier(expected));
        let headers: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
        let mut metadata: Vec<_> = metadata.iter().collect();
        metadata.sort_unstable();
        let mut sorted = headers;
        sorted.sort_unstable();
        assert_eq!((&sorted[..], &metadata[..]), (expected, expected));
    }
}

#[test]
fn an_id_of_64_bits_is_padded_for_w3c_only() {
    let mut builder = TraceContext::builder();
    builder.trace_id("a3ce929d0e0e4736".parse().unwrap()).span_id(SPAN.parse().unwrap());
    let context = builder.sampled(false).build();
    let mut map = BTreeMap::new();
    inject(&mut map, &context, None, Propagation::W3c);
    assert_eq!(map["traceparent"], "00-0000000000000000a3ce929d0e0e4736-e457b5a2e4d86bd1-00");
    inject(&mut map, &context, None, Propagation::B3);
    assert_eq!(map["x-b3-traceid"], "a3ce929d0e0e4736");
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<Vec<u8>>(),
        "[0-9a-fA-F-]{0,80}".prop_map(String::into_bytes),
        Just(PARENT_SENT.as_bytes().to_vec()),
        Just(format!("{TRACE}-{SPAN}-1-{PARENT}").into_bytes()),
        Just(TRACE.as_bytes().to_vec()),
        Just(SPAN.as_bytes().to_vec()),
        (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, byte)| {
            let mut text = PARENT_SENT.as_bytes().to_vec();
            let at = at.index(text.len());
            text[at] = byte;
            text
        }),
    ]
}

proptest! {
    #[test]
    fn no_bytes_do_harm(values in prop::collection::vec((0..HEADERS.len(), text()), 0..12)) {
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.append(HEADERS[name], value);
            }
        }
        for format in [Propagation::B3, Propagation::B3Single, Propagation::W3c] {
            let found = extract(&headers, format);
            // What is understood can be sent, and is understood again.
            if let Some(context) = found.remote.as_ref().and_then(|remote| remote.context) {
                let state = found.remote.and_then(|remote| remote.state);
                let mut sent = HeaderMap::new();
                inject(&mut sent, &context, state.as_deref(), format);
                let again = extract(&sent, format);
                prop_assert_eq!(again.malformed, 0);
                if format == Propagation::W3c && context.sampled().is_none() {
                    prop_assert!(sent.is_empty());
                    continue;
                }
                let remote = again.remote.unwrap();
                prop_assert_eq!(remote.context.unwrap().span_id(), context.span_id());
                if format == Propagation::W3c {
                    prop_assert_eq!(remote.state, state);
                }
            }
        }
    }
}
