//! Generated checks beside `prost-protovalidate`, which interprets the same options: both must say the same of any message.
//!
//! `PROTOC=... cargo test` here compares very many messages; `KIT_BLESS=1` records some of the verdicts for the tests of the kit,
//! which need no protoc then: `tests/data/validation.json`.

use std::collections::BTreeSet;

use fastrand::Rng;
use kit::{Message, message::rules};
use prost::Message as _;
use prost_protovalidate::{Error as Refusal, Validator};
use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage as _,
    Value,
};

#[path = "../../generated/validated/protos.rs"]
pub mod protos;

const TEXTS: &[&str] = &[
    "",
    "a",
    "b",
    "ab",
    "aba",
    "abb",
    "xabx",
    "xyz",
    "é",
    "éé",
    "ééé",
    "a\"b",
    "AB",
    "a1",
    "type.googleapis.com/validated.Page",
];

/// Right and wrong ones of every format, and what is nearly right.
pub const FORMATS: &[&str] = &[
    "",
    " ",
    "a",
    "a@b",
    "a@b.c",
    "a.b+c@d-e.f",
    ".a@b",
    "a@b.",
    "a@-b",
    "a@b-",
    "a@@b",
    "a b@c",
    "\"a\"@b",
    "a@[127.0.0.1]",
    "ä@b.de",
    "a@b..c",
    "a@123",
    "localhost",
    "a.b.c.",
    "a..b",
    "a_b",
    "-a",
    "a-",
    "a.1",
    "1.a",
    "1.2.3",
    "xn--a",
    "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggg",
    "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg",
    "127.0.0.1",
    "127.0.0.01",
    "256.0.0.1",
    "1.2.3.4.5",
    "::",
    "::1",
    "::1%eth0",
    "::1%",
    "1:2:3:4:5:6:7:8",
    "1:2:3:4:5:6:7::",
    "1:2:3:4:5:6:7:8:9",
    "::ffff:1.2.3.4",
    ":::",
    "12345::",
    "[::1]",
    "http://example.com",
    "http://example.com:80/a/b?c=d#e",
    "http://user:pass@example.com",
    "http://[::1]:80/",
    "http://[::1",
    "http://[v1.x]/",
    "http://[v.x]/",
    "http://[fe80::1%25eth0]/",
    "http://[fe80::1%eth0]/",
    "http://[1.2.3.4]/",
    "http://a:b/",
    "http://a:/",
    "http://a b/",
    "http://a/%",
    "http://a/%4",
    "http://a/%41",
    "http://a/%4g",
    "http://%c3%96/",
    "http://%c3x/",
    "http://ö/",
    "http://a@b@c/",
    "http:",
    "http:a",
    "http:/a",
    "http:///a",
    "http:////a",
    "mailto:a@b",
    "urn:a:b",
    "1http://a",
    "a+b-c.d:e",
    "a/b:c",
    "a:b/c",
    ":a",
    "/a",
    "//a",
    "//a:b@c:1/d",
    "./a:b",
    "?a",
    "#a",
    "#a#b",
    "a?b?c#d?e/f",
    "a[b",
    "a^b",
    "a\\b",
    "a|b",
    "a`b",
    "a{b}",
    "<a>",
    "\"a\"",
    "a\u{7f}",
    "550e8400-e29b-41d4-a716-446655440000",
    "550E8400-E29B-41D4-A716-446655440000",
    "550e8400-e29b-41d4-a716-44665544000",
    "550e8400-e29b-41d4-a716-44665544000g",
    "550e8400e29b-41d4-a716-4466554400000-",
    "550e8400e29b41d4a716446655440000",
    "550e8400e29b41d4a71644665544000g",
    "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "01arz3ndektsv4rrffq69g5fav",
    "81ARZ3NDEKTSV4RRFFQ69G5FAV",
    "01ARZ3NDEKTSV4RRFFQ69G5FAI",
    "01ARZ3NDEKTSV4RRFFQ69G5FA",
    "10.0.0.0/8",
    "10.0.0.1/8",
    "10.0.0.0/08",
    "10.0.0.0/33",
    "10.0.0.0/",
    "10.0.0.0/+8",
    "0.0.0.0/0",
    "1.2.3.4/0",
    "1.2.3.4/32",
    "::/0",
    "::1/128",
    "::1/64",
    "2001:db8::/32",
    "2001:db8::1%a/64",
    "::/129",
    "localhost:80",
    "localhost:",
    "localhost:080",
    "localhost:65536",
    "localhost:0",
    "localhost:+1",
    "127.0.0.1:80",
    "[::1]:80",
    "::1:80",
    "[::1]80",
    "[localhost]:80",
    ":80",
    "a.b.C",
    ".a.b.C",
    "..a",
    "a.",
    "a.1b",
    "_a._1",
    "content-type",
    ":authority",
    ":",
    "a:",
    "a b",
    "a\tb",
    "a\nb",
    "a\r",
    "a\0",
    "é",
];

const BYTES: &[&[u8]] = &[
    b"",
    b"a",
    b"ab",
    b"abc",
    b"abb",
    b"xab",
    b"A",
    b"\x00\xffa",
    b"\xff",
    b"abcd",
    b"0123456789abcdef",
    b"0123456789abcdefg",
];

const FLOATS: &[f64] = &[
    0.0,
    -0.0,
    0.5,
    0.75,
    1.0,
    2.5,
    4.0,
    5.0,
    6.0,
    -1.5,
    -2.0,
    999.5,
    1000.0,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
];

fn pick<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.usize(..of.len())]
}

/// Any message of a type, by reflection.
pub fn any(rng: &mut Rng, of: &MessageDescriptor, depth: u32) -> DynamicMessage {
    let mut message = DynamicMessage::new(of.clone());
    match of.full_name() {
        "google.protobuf.Timestamp" => {
            // Nothing near to now: what is recorded has to hold later, too. The last is in the year 2255.
            let seconds = pick(rng, &[0, 99, 100, 101, -1, 9_000_000_000]);
            message.set_field_by_name("seconds", Value::I64(seconds));
            return message;
        }
        "google.protobuf.Duration" => {
            let (seconds, nanos) = pick(
                rng,
                &[(0, 0), (1, 0), (1, 1), (2, 0), (5, 7), (5, 8), (-1, 0), (-1, -1), (0, 5), (1, 999_999_999)],
            );
            message.set_field_by_name("seconds", Value::I64(seconds));
            message.set_field_by_name("nanos", Value::I32(nanos));
            return message;
        }
        "google.protobuf.Any" => {
            let url = pick(rng, &["", "type.googleapis.com/validated.Page", "validated.Page"]);
            message.set_field_by_name("type_url", Value::String(url.to_owned()));
            return message;
        }
        _ => {}
    }
    for field in of.fields() {
        let deep =
            matches!(field.kind(), Kind::Message(held) if !held.full_name().starts_with("google.")) && depth == 0;
        let is_optional = field.supports_presence() && field.cardinality() == Cardinality::Optional;
        if deep || is_optional && rng.u8(..3) == 0 {
            continue;
        }
        let value = if let (true, Kind::Message(entry)) = (field.is_map(), field.kind()) {
            let (key, value) = (entry.map_entry_key_field(), entry.map_entry_value_field());
            let entries = (0..rng.usize(..4)).filter_map(|_| {
                let key: MapKey = single(rng, &key, depth).into_map_key()?;
                Some((key, single(rng, &value, depth)))
            });
            Value::Map(entries.collect())
        } else if field.is_list() {
            Value::List((0..rng.usize(..4)).map(|_| single(rng, &field, depth)).collect())
        } else {
            single(rng, &field, depth)
        };
        message.set_field(&field, value);
    }
    message
}

fn single(rng: &mut Rng, field: &FieldDescriptor, depth: u32) -> Value {
    let number = rng.i32(-7..9);
    match field.kind() {
        Kind::Double => Value::F64(pick(rng, FLOATS)),
        Kind::Float => Value::F32(pick(rng, FLOATS) as f32),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(number),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(number.into()),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(number.unsigned_abs()),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(number.unsigned_abs().into()),
        Kind::Bool => Value::Bool(rng.bool()),
        Kind::String => {
            let of = if field.parent_message().name() == "Formats" { FORMATS } else { TEXTS };
            Value::String(pick(rng, of).to_owned())
        }
        Kind::Bytes => Value::Bytes(pick(rng, BYTES).into()),
        Kind::Enum(_) => Value::EnumNumber(rng.i32(0..4)),
        Kind::Message(held) => Value::Message(any(rng, &held, depth.saturating_sub(1))),
    }
}

trait IntoMapKey {
    fn into_map_key(self) -> Option<MapKey>;
}

impl IntoMapKey for Value {
    fn into_map_key(self) -> Option<MapKey> {
        Some(match self {
            Self::Bool(key) => MapKey::Bool(key),
            Self::I32(key) => MapKey::I32(key),
            Self::String(key) => MapKey::String(key),
            _ => return None,
        })
    }
}

/// What the oracle says of a message: the paths of what is wrong. `None` where it gives up.
pub fn verdict(validator: &Validator, message: &DynamicMessage) -> Option<BTreeSet<String>> {
    let found: BTreeSet<String> = match validator.validate(message) {
        Ok(()) => BTreeSet::new(),
        Err(Refusal::Validation(error)) => error.violations().iter().map(|violation| violation.field_path()).collect(),
        // Bytes that are no UTF-8 and have a pattern; for the kit they are one more violation.
        Err(Refusal::Runtime(error)) => {
            assert!(error.to_string().contains("UTF-8"), "{error}");
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    let known = |path: &String| {
        // By the grammar, and so by protovalidate, an empty reference is a reference; that library wants one character.
        path == "uri_ref" && message.get_field_by_name("uri_ref").is_some_and(|value| value.as_str() == Some(""))
    };
    Some(found.into_iter().filter(|path| !known(path)).collect())
}

/// What the kit says of it.
pub fn ours<M: Message>(message: &DynamicMessage) -> BTreeSet<String> {
    let message = M::decode(message.encode_to_vec().as_slice()).unwrap();
    let Err(error) = rules::validate_up_to(&message, usize::MAX) else { return BTreeSet::new() };
    assert!(!error.message().contains("more than can be told"), "the messages of this test are small: {error}");
    error.field_violations().iter().map(|violation| violation.field.clone()).collect()
}

pub fn descriptor(name: &str) -> MessageDescriptor {
    let descriptors = include_bytes!("../../generated/validated/descriptors.bin");
    DescriptorPool::decode(descriptors.as_slice()).unwrap().get_message_by_name(name).unwrap()
}

/// A message of formats whose fields all have one text.
pub fn formats(descriptor: &MessageDescriptor, text: &str) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        message.set_field(&field, Value::String(text.to_owned()));
    }
    message
}

/// Compares very many messages of a type: how many of them were right, and how many wrong.
pub fn agree<M: Message>(seed: u64, tries: u32) -> (u32, u32) {
    let (descriptor, validator, mut rng) = (descriptor(M::NAME), Validator::new(), Rng::with_seed(seed));
    let mut wrong = 0;
    for _ in 0..tries {
        let message = any(&mut rng, &descriptor, 3);
        let found = ours::<M>(&message);
        match verdict(&validator, &message) {
            Some(expected) => assert_eq!(found, expected, "{}: {message}", M::NAME),
            None => assert!(found.contains("pattern"), "{message}"),
        }
        wrong += u32::from(!found.is_empty());
    }
    (tries - wrong, wrong)
}
