use std::{collections::BTreeMap, net::SocketAddr};

use super::*;
use crate::Peer;

const TRACE: &str = "463ac35c9f6413ad48485a3953bb6124";
const SPAN: &str = "a2fb4a1d1a96d312";

fn headers(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn ids(state: &str) -> BTreeMap<String, String> {
    headers(&[("b3", &format!("{TRACE}-{SPAN}{state}"))])
}

fn peer(address: &str) -> Peer {
    Peer { address: Some(address.parse().unwrap()), ..Peer::default() }
}

fn tracer(config: &TraceConfig) -> (Tracer, Memory) {
    let spans = Memory::new();
    (Tracer::builder(config, "Test").export(Some(spans.clone())).build(), spans)
}

fn sampling(sample: Sample) -> TraceConfig {
    TraceConfig { sample, ..TraceConfig::default() }
}

#[test]
fn only_who_is_trusted_can_ask_for_a_trace_to_be_recorded() {
    let ours = TraceConfig { trusted_networks: vec!["10.0.0.0/8".parse().unwrap()], ..sampling(Sample::Never) };
    let mutual = TraceConfig { trusted_networks: Vec::new(), trust_certificates: true, ..ours.clone() };
    let with_certificate = Peer { certificates: vec![vec![1]], ..peer("8.8.8.8:1") };
    for (config, sender, trusted) in [
        (&ours, Some(peer("10.1.2.3:9")), true),
        (&ours, Some(peer("11.1.2.3:9")), false),
        (&ours, Some(with_certificate.clone()), false),
        (&ours, Some(Peer::default()), false),
        (&ours, None, false),
        (&mutual, Some(with_certificate), true),
        (&mutual, Some(peer("10.1.2.3:9")), false),
        (&sampling(Sample::Never), Some(peer("127.0.0.1:9")), true),
        (&sampling(Sample::Never), Some(peer("[::1]:9")), true),
        (&sampling(Sample::Never), Some(peer("[::ffff:127.0.0.1]:9")), true),
        (&sampling(Sample::Never), Some(peer("10.1.2.3:9")), false),
    ] {
        let (tracer, _) = tracer(config);
        for (wish, debug) in
            [(ids("-1"), false), (ids("-d"), true), (headers(&[("b3", "1")]), false), (headers(&[("b3", "d")]), true)]
        {
            let span = tracer.receive(&wish, sender.as_ref(), "x");
            assert_eq!(span.is_recorded(), trusted, "{sender:?} {wish:?}");
            assert_eq!(span.span().unwrap().context().debug(), trusted && debug);
            // The ids are kept from everyone.
            assert_eq!(span.span().unwrap().trace_id().as_str() == TRACE, wish["b3"].len() > 1);
        }
        assert_eq!(tracer.figures().refused, if trusted { 0 } else { 4 });
    }
}

#[test]
fn anyone_can_ask_for_a_trace_not_to_be_recorded() {
    let (tracer, spans) = tracer(&sampling(Sample::Always));
    for wish in [ids("-0"), headers(&[("b3", "0")]), headers(&[("x-b3-sampled", "0")])] {
        let span = tracer.receive(&wish, None, "x");
        assert!(!span.is_recorded());
        assert_eq!(span.span().unwrap().context().sampled(), Some(false));
    }
    assert_eq!((spans.spans().len(), tracer.figures()), (0, TracerFigures::default()));
}

#[test]
fn a_stranger_can_not_choose_an_id_that_is_always_recorded() {
    let (tracer, _) = tracer(&sampling(Sample::Probability(0.01)));
    let chosen = headers(&[("b3", "ffffffffffffffffffffffffffffffff-a2fb4a1d1a96d312")]);
    let recorded =
        |sender: Option<&Peer>| (0..1000).filter(|_| tracer.receive(&chosen, sender, "x").is_recorded()).count();
    assert_eq!(recorded(Some(&peer("127.0.0.1:1"))), 1000, "services that trust each other agree");
    assert!(recorded(None) < 100);
}

#[test]
fn headers_that_make_no_sense_are_counted_and_begin_a_trace() {
    let (tracer, _) = tracer(&sampling(Sample::Always));
    let wrong = headers(&[("b3", "'; DROP TABLE spans"), ("traceparent", "00-0-0-00")]);
    let span = tracer.receive(&wrong, Some(&peer("127.0.0.1:1")), "x");
    assert!(span.is_recorded() && span.span().unwrap().context().parent_id().is_none());
    assert_eq!(tracer.figures().malformed, 2);
}

#[test]
fn a_span_tells_what_it_was_told_within_its_limits() {
    let config = TraceConfig { max_annotations: 2, max_tags: 16, ..sampling(Sample::Always) };
    let (tracer, spans) = tracer(&config);
    let span = tracer.start("Job");
    for number in 0..20 {
        span.tag("number", number.to_string());
        span.tag(number.to_string(), "one of many");
        span.annotate(format!("at {number}"));
    }
    let child = span.child("step").with_kind(Kind::Client).with_remote("mysql", Some("10.0.0.1:3306".parse().unwrap()));
    child.fail("lost");
    let kept = child.span().unwrap().clone();
    drop(child);
    kept.tag("too", "late");
    drop(span);
    let [step, job] = spans.spans().try_into().unwrap();
    // 18 annotations, and 5 of 21 names.
    assert_eq!((job.annotations.len(), job.tags.len(), job.tag("dropped")), (2, 17, Some("23")));
    assert_eq!((job.tag("number"), job.tag("14"), job.tag("15")), (Some("19"), Some("one of many"), None));
    assert_eq!(job.tags.iter().filter(|(name, _)| **name == *"number").count(), 1);
    assert_eq!((step.tag("error"), step.tag("too")), (Some("lost"), None));
    assert_eq!(step.context.parent_id(), Some(job.context.span_id()));
    assert_eq!(step.context.trace_id(), job.context.trace_id());
    assert_eq!(step.remote_address, Some(SocketAddr::from(([10, 0, 0, 1], 3306))));
    assert_eq!((step.kind.is_some(), job.kind.is_some(), job.context.parent_id()), (true, false, None));
    assert_eq!(tracer.figures().recorded, 2);
}

#[test]
fn without_an_exporter_ids_travel_and_the_decision_is_left_to_others() {
    let tracer = Tracer::builder(&sampling(Sample::Always), "test").build();
    let span = tracer.start("x");
    assert!(!span.is_recorded());
    let mut sent = BTreeMap::new();
    span.inject(&mut sent);
    assert_eq!(sent.keys().collect::<Vec<_>>(), ["x-b3-spanid", "x-b3-traceid"]);
    // What came goes on as it came: a span of ours would be missing in the tree.
    let received = tracer.receive(&ids("-1"), Some(&peer("127.0.0.1:1")), "x");
    received.inject(&mut sent);
    assert_eq!((&*sent["x-b3-spanid"], &*sent["x-b3-sampled"]), (SPAN, "1"));
}

#[test]
fn the_tags_of_the_kit_fit_always() {
    let (tracer, spans) = tracer(&TraceConfig { max_tags: 1, ..sampling(Sample::Always) });
    let span = tracer.start("call");
    span.tag("shelf", "7");
    span.tag("left", "out");
    span.fail("INTERNAL: broken");
    span.span().unwrap().tag_own("rpc.response.status_code", "INTERNAL");
    drop(span);
    let [span] = spans.spans().try_into().unwrap();
    assert_eq!((span.tag("shelf"), span.tag("left"), span.tag("dropped")), (Some("7"), None, Some("1")));
    assert_eq!((span.tag("error"), span.tag("rpc.response.status_code")), (Some("INTERNAL: broken"), Some("INTERNAL")));
}

#[test]
fn without_an_exporter_nobody_behind_is_told_not_to_record() {
    let config = TraceConfig { propagation: Propagation::W3c, ..sampling(Sample::Always) };
    let tracer = Tracer::builder(&config, "test").build();
    let mut sent = headers(&[("traceparent", "stale"), ("b3", "stale")]);
    // W3C has no way to say that nothing was decided.
    tracer.start("x").inject(&mut sent);
    assert!(sent.is_empty(), "{sent:?}");
    let sender = peer("127.0.0.1:1");
    tracer.receive(&ids(""), Some(&sender), "x").inject(&mut sent);
    assert!(sent.is_empty(), "{sent:?}");
    // A bit that came goes on, whoever sent it.
    for (flags, sender) in [("00", Some(&sender)), ("01", Some(&sender)), ("00", None), ("01", None)] {
        let parent = format!("00-{TRACE}-{SPAN}-{flags}");
        let received = tracer.receive(&headers(&[("traceparent", &parent)]), sender, "x");
        assert!(!received.is_recorded());
        let mut sent = BTreeMap::new();
        received.child("inside").inject(&mut sent);
        assert_eq!(sent["traceparent"], parent, "{sender:?}");
    }
}

#[test]
fn a_span_that_is_no_clients_is_not_offered_for_sharing() {
    let tracer = Tracer::builder(&sampling(Sample::Always), "test").export(Some(Memory::joining())).build();
    let job = tracer.start("job");
    let mut sent = BTreeMap::new();
    job.inject(&mut sent);
    let id = job.span().unwrap().id();
    assert_eq!(sent["x-b3-parentspanid"], id.as_str());
    assert_ne!(sent["x-b3-spanid"], id.as_str());
    let call = job.child("call").with_kind(Kind::Client);
    call.inject(&mut sent);
    assert_eq!(sent["x-b3-spanid"], call.span().unwrap().id().as_str());
}

#[tokio::test]
async fn a_disabled_tracer_leaves_no_trace() {
    let tracer = Tracer::disabled();
    let span = tracer.start("x");
    let mut sent = headers(&[("b3", "as it came")]);
    span.inject(&mut sent);
    assert_eq!((span.span().is_none(), &*sent["b3"]), (true, "as it came"));
    assert!(span.run(async { crate::endpoint::current::span() }).await.is_none());
}

#[tokio::test]
async fn work_inside_a_span_finds_it() {
    let (tracer, spans) = tracer(&sampling(Sample::Always));
    let job = tracer.start("job");
    job.run(async { drop(crate::endpoint::current::child_span("inside")) }).await;
    drop(job);
    let [inside, job] = spans.spans().try_into().unwrap();
    assert_eq!(inside.context.parent_id(), Some(job.context.span_id()));
}
