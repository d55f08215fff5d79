//! The JSON of generated messages, with prost-reflect as the judge: it knows messages by their descriptors alone.

use std::{path::Path, sync::LazyLock};

use kit::{
    Message,
    json::{self, Options, Registry},
};
use proptest::prelude::*;
use prost_reflect::{
    DescriptorPool, DeserializeOptions, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor,
    ReflectMessage as _, SerializeOptions, Value, prost::Message as _,
};
use serde_json::Value as Json;

use crate::everything::every::thing::{self, Choices, Elsewhere, Empty, Known, Maps, Names, Scalars, Self_, Tree};

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut compiler = protox::Compiler::new([root.join("tests/golden"), root.join("proto")]).unwrap();
    compiler.include_imports(true).open_files(["everything.proto", "everything_nested.proto"]).unwrap();
    compiler.descriptor_pool()
});

/// Bytes that decide what a random message holds; nothing is set once they are used up, so shrinking them shrinks it.
struct Tape<'a>(std::slice::Iter<'a, u8>);

impl Tape<'_> {
    fn next(&mut self) -> u8 {
        self.0.next().copied().unwrap_or(0)
    }

    fn below(&mut self, limit: u8) -> u8 {
        self.next() % limit
    }

    fn int(&mut self) -> i64 {
        match self.below(6) {
            0 => 0,
            1 => i64::from(self.next()),
            2 => -i64::from(self.next()),
            3 => i64::MIN,
            4 => i64::MAX,
            _ => i64::from_le_bytes([(); 8].map(|()| self.next())),
        }
    }

    fn float(&mut self) -> f64 {
        match self.below(7) {
            0 => 0.0,
            1 => f64::from(self.next()) / 4.0,
            2 => -f64::from(self.next()) * 1e9,
            3 => 1e300,
            4 => 5e-324,
            5 => 0.1,
            // -0.0 is not the default.
            _ => -0.0,
        }
    }

    fn text(&mut self) -> String {
        let letters = ['a', 'B', '7', '_', ' ', '"', '\\', '\n', '\u{0}', 'é', '書', '🦀', '<', '\u{2028}'];
        let length = self.below(6);
        (0..length).map(|_| letters[usize::from(self.next()) % letters.len()]).collect()
    }

    fn bytes(&mut self) -> Vec<u8> {
        (0..self.below(6)).map(|_| self.next()).collect()
    }
}

fn message(descriptor: &MessageDescriptor, tape: &mut Tape<'_>, depth: u8) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    let set = |message: &mut DynamicMessage, name: &str, value| message.set_field_by_name(name, value);
    match descriptor.full_name() {
        "google.protobuf.Timestamp" => {
            set(&mut message, "seconds", Value::I64(tape.int().rem_euclid(315_537_897_599) - 62_135_596_800));
            set(&mut message, "nanos", Value::I32(nanos(tape)));
        }
        "google.protobuf.Duration" => {
            let seconds = tape.int() % 315_576_000_000;
            let sign = if seconds < 0 { -1 } else { 1 };
            set(&mut message, "seconds", Value::I64(seconds));
            set(&mut message, "nanos", Value::I32(sign * nanos(tape)));
        }
        "google.protobuf.FieldMask" => {
            let paths = ["name", "sub.child", "snake_case_name", "a.b_c.d"];
            let count = usize::from(tape.below(4));
            let paths = paths.iter().take(count).map(|path| Value::String((*path).to_owned())).collect();
            set(&mut message, "paths", Value::List(paths));
        }
        "google.protobuf.Any" => {
            // The judge can not write one without a type, and encodes map entries its own way.
            let held = ["google.protobuf.Duration", "every.thing.Choices"][usize::from(tape.below(2))];
            let held = POOL.get_message_by_name(held).unwrap();
            let url = format!("type.googleapis.com/{}", held.full_name());
            set(&mut message, "type_url", Value::String(url));
            let held = self::message(&held, tape, depth + 1);
            set(&mut message, "value", Value::Bytes(held.encode_to_vec().into()));
        }
        // A value without a kind has no JSON.
        "google.protobuf.Value" => match tape.below(if depth > 4 { 4 } else { 6 }) {
            0 => set(&mut message, "null_value", Value::EnumNumber(0)),
            1 => set(&mut message, "number_value", Value::F64(tape.float())),
            2 => set(&mut message, "string_value", Value::String(tape.text())),
            3 => set(&mut message, "bool_value", Value::Bool(tape.below(2) == 1)),
            4 => {
                let field = descriptor.get_field_by_name("struct_value").unwrap();
                set(&mut message, "struct_value", value(&field, tape, depth + 1));
            }
            _ => {
                let field = descriptor.get_field_by_name("list_value").unwrap();
                set(&mut message, "list_value", value(&field, tape, depth + 1));
            }
        },
        _ => fill(&mut message, tape, depth),
    }
    message
}

fn nanos(tape: &mut Tape<'_>) -> i32 {
    [0, 1, 120_000_000, 999_999_999, 1_000][usize::from(tape.below(5))]
}

fn fill(message: &mut DynamicMessage, tape: &mut Tape<'_>, depth: u8) {
    for field in message.descriptor().fields() {
        let deep = depth > 4 && matches!(field.kind(), Kind::Message(_));
        if tape.below(3) == 0 || deep {
            continue;
        }
        if field.is_map() {
            let Kind::Message(entry) = field.kind() else { continue };
            let count = tape.below(3);
            let entries = (0..count).map(|_| {
                (key(&entry.map_entry_key_field(), tape), value(&entry.map_entry_value_field(), tape, depth + 1))
            });
            message.set_field(&field, Value::Map(entries.collect()));
        } else if field.is_list() {
            let count = tape.below(3);
            let values = (0..count).map(|_| value(&field, tape, depth + 1)).collect();
            message.set_field(&field, Value::List(values));
        } else {
            message.set_field(&field, value(&field, tape, depth + 1));
        }
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "any number will do")]
fn value(field: &FieldDescriptor, tape: &mut Tape<'_>, depth: u8) -> Value {
    match field.kind() {
        Kind::Double => Value::F64(tape.float()),
        // The judge can not read back f32::MAX, which is longer as an f64.
        Kind::Float => Value::F32(tape.float().clamp(-1e30, 1e30) as f32),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(tape.int() as i32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(tape.int()),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(tape.int() as u32),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(tape.int() as u64),
        Kind::Bool => Value::Bool(tape.below(2) == 1),
        Kind::String => Value::String(tape.text()),
        Kind::Bytes => Value::Bytes(tape.bytes().into()),
        Kind::Enum(held) if held.full_name() == "google.protobuf.NullValue" => Value::EnumNumber(0),
        Kind::Enum(_) => Value::EnumNumber([0, 1, -1, 7, 99][usize::from(tape.below(5))]),
        Kind::Message(held) => Value::Message(message(&held, tape, depth)),
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "any number will do")]
fn key(field: &FieldDescriptor, tape: &mut Tape<'_>) -> MapKey {
    match field.kind() {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => MapKey::I32(tape.int() as i32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => MapKey::I64(tape.int()),
        Kind::Uint32 | Kind::Fixed32 => MapKey::U32(tape.int() as u32),
        Kind::Uint64 | Kind::Fixed64 => MapKey::U64(tape.int() as u64),
        Kind::Bool => MapKey::Bool(tape.below(2) == 1),
        _ => MapKey::String(tape.text()),
    }
}

fn options() -> Options {
    Options { registry: thing::register(Registry::default()), ..Options::default() }
}

/// What prost-reflect writes.
fn reflected(message: &DynamicMessage, proto_names: bool) -> Json {
    let options = SerializeOptions::new().skip_default_fields(false).use_proto_field_name(proto_names);
    // By way of text: a tree would turn each f32 into the f64 next to it.
    let mut text = Vec::new();
    message.serialize_with_options(&mut serde_json::Serializer::new(&mut text), &options).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn round_trip<M: Message + std::fmt::Debug>(tape: &[u8]) -> Result<(), TestCaseError> {
    let descriptor = POOL.get_message_by_name(M::NAME).unwrap();
    let dynamic = message(&descriptor, &mut Tape(tape.iter()), 0);
    let ours = M::decode(dynamic.encode_to_vec().as_slice()).unwrap();

    let options = options();
    let text = json::to_vec(&ours, &options).unwrap();
    let written: Json = serde_json::from_slice(&text).unwrap();
    prop_assert_eq!(&written, &reflected(&dynamic, false));

    // Both read what was written, and ours reads both names.
    let mut reader = serde_json::Deserializer::from_slice(&text);
    let judged = DynamicMessage::deserialize_with_options(descriptor, &mut reader, &DeserializeOptions::new()).unwrap();
    prop_assert_eq!(&M::decode(judged.encode_to_vec().as_slice()).unwrap(), &ours);
    prop_assert_eq!(&json::from_slice::<M>(&text, &options).unwrap(), &ours);
    let by_proto_name = reflected(&dynamic, true);
    prop_assert_eq!(&json::from_value::<M>(by_proto_name, &options).unwrap(), &ours);
    Ok(())
}

macro_rules! round_trips {
    ($($name:ident: $message:ty),* $(,)?) => {
        proptest! {
            #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]
            $(
                #[test]
                fn $name(tape in prop::collection::vec(any::<u8>(), 0..400)) {
                    round_trip::<$message>(&tape)?;
                }
            )*
        }
    };
}

round_trips! {
    scalars: Scalars,
    maps: Maps,
    trees: Tree,
    choices: Choices,
    well_known_types: Known,
    keywords: Self_,
    no_fields: Empty,
    other_packages: Elsewhere,
}

#[test]
fn numbers_that_are_none() {
    let message = Scalars { d: f64::NAN, f: f32::NEG_INFINITY, maybe_d: Some(f64::INFINITY), ..Scalars::default() };
    let written = serde_json::to_value(&message).unwrap();
    assert_eq!(
        (&written["d"], &written["f"], &written["maybeD"]),
        (&"NaN".into(), &"-Infinity".into(), &"Infinity".into())
    );
    let read: Scalars = serde_json::from_value(written).unwrap();
    assert!(read.d.is_nan() && read.f.is_infinite() && read.maybe_d == Some(f64::INFINITY));
}

#[test]
fn the_exact_name_wins() {
    let names: Names = serde_json::from_str(r#"{"one":"2","two":"3","foo_bar":"1","@other":"4"}"#).unwrap();
    assert_eq!(
        (names.foo_bar.as_str(), names.one.as_str(), names.two.as_str(), names.other.as_str()),
        ("1", "2", "3", "4")
    );
}

#[test]
fn aliases_are_read_and_the_first_is_written() {
    let message: Scalars = serde_json::from_str(r#"{"kind":"KIND_EINS","maybeKind":-1}"#).unwrap();
    let written = serde_json::to_value(&message).unwrap();
    assert_eq!((&written["kind"], &written["maybeKind"]), (&"KIND_ONE".into(), &"KIND_MINUS".into()));
}
