//! Reads YAML, and what is in memory, into a tree.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_saphyr::{Location, MessageFormatter as _, NonFiniteFloatPolicy, Spanned, UserMessageFormatter};

use super::error::{Origin, Problem};
use super::tree::{Entry, Node, Value};

impl Node {
    /// The tree of a configuration in memory, in the order of its fields.
    pub(super) fn of<T: Serialize>(config: &T) -> Result<Self, serde_json::Error> {
        // By way of JSON text, because `serde_json::Value` sorts the keys and widens `f32`.
        let json = serde_json::to_string(config)?;
        let piece: Bare = serde_json::from_str(&json)?;
        Ok(grow(piece, "", &|_| Origin::Default))
    }

    /// Reads YAML; each node gets its origin from its location. An empty text is null.
    pub(super) fn parse(text: &str, origin: &dyn Fn(Location) -> Origin) -> Result<Self, Problem> {
        match serde_saphyr::from_str_with_options::<Located>(text, options()) {
            Ok(piece) => Ok(grow(piece, text, origin)),
            Err(error) => {
                let origin = origin(error.location().unwrap_or(Location::UNKNOWN));
                let message = UserMessageFormatter.format_message(error.without_snippet());
                Err(Problem::new(Some(origin), "", message))
            }
        }
    }
}

/// Limits stay on: a few kilobytes of aliases must not become gigabytes. A configuration is far
/// below them.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 200_000,
            max_nodes: 100_000,
            max_aliases: 1_000,
            // A long comment above a key is no attack.
            max_buffered_comment_events: 10_000,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 100_000 },
        // `no` and `on` are words, not booleans.
        strict_booleans: true,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        emit_comments: false,
        with_snippet: false,
    }
}

/// What a parser gives, before the locations are turned into origins.
enum Raw<P: WithKey> {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Str(String),
    Seq(Vec<P>),
    Map(Vec<(P::Key, P)>),
}

trait WithKey {
    type Key;
}

/// A node as a parser gives it: with its location or without.
trait Piece<'de>: WithKey<Key: Deserialize<'de>> + Deserialize<'de> {
    fn split(self) -> (Raw<Self>, Location);

    fn split_key(key: Self::Key) -> (String, Location);
}

/// From YAML.
#[derive(Deserialize)]
#[serde(transparent)]
struct Located(Spanned<Raw<Located>>);

impl WithKey for Located {
    type Key = Spanned<String>;
}

impl Piece<'_> for Located {
    fn split(self) -> (Raw<Self>, Location) {
        (self.0.value, self.0.defined)
    }

    fn split_key(key: Self::Key) -> (String, Location) {
        (key.value, key.defined)
    }
}

/// From JSON, which has no locations.
#[derive(Deserialize)]
#[serde(transparent)]
struct Bare(Raw<Bare>);

impl WithKey for Bare {
    type Key = String;
}

impl Piece<'_> for Bare {
    fn split(self) -> (Raw<Self>, Location) {
        (self.0, Location::UNKNOWN)
    }

    fn split_key(key: String) -> (String, Location) {
        (key, Location::UNKNOWN)
    }
}

fn grow<'de, P: Piece<'de>>(piece: P, source: &str, origin: &dyn Fn(Location) -> Origin) -> Node {
    let (raw, at) = piece.split();
    let value = match raw {
        Raw::Null => Value::Null,
        Raw::Bool(value) => Value::Bool(value, written(source, at, value)),
        Raw::Int(value) => Value::Int(value, written(source, at, value)),
        Raw::Float(value) => Value::Float(value, written(source, at, value)),
        Raw::Str(text) => Value::Str(text),
        Raw::Seq(items) => Value::Seq(items.into_iter().map(|item| grow(item, source, origin)).collect()),
        Raw::Map(entries) => {
            let entry = |(key, value): (P::Key, P)| {
                let (key, at) = P::split_key(key);
                Entry { key, origin: origin(at), node: grow(value, source, origin) }
            };
            Value::Map(entries.into_iter().map(entry).collect())
        }
    };
    Node::new(value, origin(at))
}

/// The scalar as it stands in the source; its usual form when it stands there with a tag or quotes.
fn written(source: &str, at: Location, value: impl fmt::Display) -> String {
    let slice = || {
        let start = usize::try_from(at.span().byte_offset()?).ok()?;
        let length = usize::try_from(at.span().byte_len()?).ok()?;
        let text = source.get(start..start.checked_add(length)?)?.trim();
        let plain = text.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
        (plain && !text.contains(char::is_whitespace)).then(|| text.to_owned())
    };
    slice().unwrap_or_else(|| value.to_string())
}

impl<'de, P: Piece<'de>> Deserialize<'de> for Raw<P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor(PhantomData))
    }
}

struct RawVisitor<P>(PhantomData<P>);

impl<'de, P: Piece<'de>> Visitor<'de> for RawVisitor<P> {
    type Value = Raw<P>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Raw<P>, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Raw<P>, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw<P>, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Raw<P>, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Raw<P>, E> {
        Ok(Raw::Int(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Raw<P>, E> {
        Ok(Raw::Int(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Raw<P>, E> {
        Ok(Raw::Float(value))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Raw<P>, E> {
        Ok(Raw::Str(text.to_owned()))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Raw<P>, E> {
        Ok(Raw::Str(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw<P>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Raw::Seq(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw<P>, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

/// Origins for a file: its name and the location.
pub(super) fn in_file(file: Arc<str>) -> impl Fn(Location) -> Origin {
    move |at| Origin::File { file: Arc::clone(&file), line: at.line(), column: at.column() }
}
