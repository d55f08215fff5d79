//! What `prost-protovalidate`, which interprets the options at run time, said of messages: recorded by `tests/oracle`, which needs
//! protoc and so is no part of the workspace. The generated checks must say the same.

use std::collections::{BTreeMap, BTreeSet};

use kit::{Message, message::rules};
use serde::Deserialize;

use crate::validated::validated::{Book, Formats, Numbers, Others, Presence, Texts};

#[derive(Deserialize)]
struct Recorded {
    /// By text: the formats that it does not have, by their fields in `Formats`.
    formats: BTreeMap<String, BTreeSet<String>>,
    messages: Vec<Verdict>,
}

#[derive(Deserialize)]
struct Verdict {
    message: String,
    hex: String,
    paths: BTreeSet<String>,
}

fn recorded() -> Recorded {
    serde_json::from_str(include_str!("../../data/validation.json")).unwrap()
}

fn paths<M: Message>(message: &M) -> BTreeSet<String> {
    let Err(error) = rules::validate_up_to(message, usize::MAX) else { return BTreeSet::new() };
    error.field_violations().iter().map(|violation| violation.field.clone()).collect()
}

fn decoded<M: Message>(bytes: &[u8]) -> BTreeSet<String> {
    paths(&M::decode(bytes).unwrap())
}

#[test]
fn formats_are_those_of_the_oracle() {
    for (text, refused) in recorded().formats {
        let text = || text.clone();
        let all = Formats {
            email: text(),
            hostname: text(),
            ip: text(),
            ipv4: text(),
            ipv6: text(),
            uri: text(),
            uri_ref: text(),
            address: text(),
            uuid: text(),
            tuuid: text(),
            ulid: text(),
            ip_with_prefixlen: text(),
            ipv4_with_prefixlen: text(),
            ipv6_with_prefixlen: text(),
            ip_prefix: text(),
            ipv4_prefix: text(),
            ipv6_prefix: text(),
            host_and_port: text(),
            protobuf_fqn: text(),
            protobuf_dot_fqn: text(),
            header_name: text(),
            header_value: text(),
            loose_name: text(),
            loose_value: text(),
        };
        assert_eq!(paths(&all), refused, "{:?}", text());
    }
}

#[test]
fn messages_are_judged_as_by_the_oracle() {
    let messages = recorded().messages;
    assert!(messages.iter().any(|verdict| verdict.paths.is_empty()) && messages.len() > 100);
    for Verdict { message, hex, paths } in messages {
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        let found = match message.as_str() {
            Texts::NAME => decoded::<Texts>(&bytes),
            Numbers::NAME => decoded::<Numbers>(&bytes),
            Others::NAME => decoded::<Others>(&bytes),
            Presence::NAME => decoded::<Presence>(&bytes),
            Book::NAME => decoded::<Book>(&bytes),
            other => panic!("{other}"),
        };
        assert_eq!(found, paths, "{message} {hex}");
    }
}
