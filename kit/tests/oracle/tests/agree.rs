use std::collections::BTreeMap;

use fastrand::Rng;
use kit::Message;
use oracle::{
    FORMATS, agree, any, descriptor, formats, ours,
    protos::validated::{AddRequest, Book, Formats, Numbers, Others, Presence, Texts},
    verdict,
};
use prost::Message as _;
use prost_protovalidate::Validator;
use serde_json::json;

#[test]
fn the_oracle_reads_our_options() {
    let (right, wrong) = agree::<AddRequest>(1, 5_000);
    assert!(right > 0 && wrong > 0, "{right} right, {wrong} wrong");
}

#[test]
fn texts_and_numbers() {
    assert!(agree::<Texts>(2, 20_000).1 > 1_000);
    assert!(agree::<Numbers>(3, 20_000).1 > 1_000);
}

#[test]
fn every_text_as_every_format() {
    let (descriptor, validator) = (descriptor(Formats::NAME), Validator::new());
    let mut wrong = Vec::new();
    for text in FORMATS {
        let message = formats(&descriptor, text);
        let (ours, theirs) = (ours::<Formats>(&message), verdict(&validator, &message).unwrap());
        for field in ours.symmetric_difference(&theirs) {
            wrong.push(format!(
                "{text:?} as {field}: we {}",
                if ours.contains(field) { "refuse it" } else { "take it" }
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn lists_maps_bytes_and_times() {
    assert!(agree::<Others>(4, 20_000).1 > 1_000);
}

#[test]
fn presence_and_nesting() {
    let (right, wrong) = agree::<Presence>(5, 20_000);
    assert!(right > 0 && wrong > 1_000, "{right} right, {wrong} wrong");
    let (right, wrong) = agree::<Book>(6, 20_000);
    assert!(right > 0 && wrong > 1_000, "{right} right, {wrong} wrong");
}

/// Some verdicts for the tests of the kit.
#[test]
fn record() {
    if std::env::var_os("KIT_BLESS").is_none() {
        return;
    }
    let validator = Validator::new();
    let of_formats = descriptor(Formats::NAME);
    let by_text: BTreeMap<_, _> =
        FORMATS.iter().map(|text| (*text, verdict(&validator, &formats(&of_formats, text)).unwrap())).collect();
    let mut messages = Vec::new();
    for name in [Texts::NAME, Numbers::NAME, Others::NAME, Presence::NAME, Book::NAME] {
        let (descriptor, mut rng) = (descriptor(name), Rng::with_seed(7));
        for _ in 0..40 {
            let message = any(&mut rng, &descriptor, 3);
            if let Some(paths) = verdict(&validator, &message) {
                let hex: String = message.encode_to_vec().iter().map(|byte| format!("{byte:02x}")).collect();
                messages.push(json!({ "message": name, "hex": hex, "paths": paths }));
            }
        }
    }
    let lines: Vec<_> = messages.iter().map(ToString::to_string).collect();
    let formats = serde_json::to_string(&by_text).unwrap().replace("],", "],\n");
    let text = format!("{{\"formats\":{formats},\n\"messages\":[\n{}\n]}}\n", lines.join(",\n"));
    std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/../data/validation.json"), text).unwrap();
}
