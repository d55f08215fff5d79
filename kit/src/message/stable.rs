//! Bytes by which equal messages are known.
//!
//! The wire does not do: a map is written in the order of a hash map, which is another one in each. Most messages have no map with
//! more than one entry, and their bytes are taken; of the others it is the JSON, its objects sorted.

use std::{collections::HashMap, convert::Infallible};

use serde_json::Value;

use super::{Codec, Field, KeyCodec, Message, Visit};

/// What the key is made of, so that no wire is taken for a JSON.
const WIRE: u8 = 0;
const JSON: u8 = 1;

pub(crate) fn to_key<M: Message>(message: &M) -> Vec<u8> {
    if has_order(message)
        && let Ok(value) = crate::json::to_value(message, &crate::json::Options::default())
    {
        let mut key = vec![JSON];
        write(&value, &mut key);
        return key;
    }
    // Also of an `Any` that JSON does not know: two that are equal may get two keys, never the other way round.
    let mut key = Vec::with_capacity(1 + message.encoded_len());
    key.push(WIRE);
    message.encode_raw(&mut key);
    key
}

/// Whether there is a map with several entries somewhere in a message.
pub(super) fn has_order<M: Message>(message: &M) -> bool {
    let mut found = HasOrder(false);
    match message.visit(&mut found) {
        Ok(()) => found.0,
        Err(never) => match never {},
    }
}

struct HasOrder(bool);

impl Visit for HasOrder {
    type Error = Infallible;

    fn singular<C: Codec>(&mut self, _: &Field, value: &C::Value) -> Result<(), Infallible> {
        self.0 = self.0 || C::has_order(value);
        Ok(())
    }

    fn optional<C: Codec>(&mut self, _: &Field, value: &Option<C::Value>) -> Result<(), Infallible> {
        self.0 = self.0 || value.as_ref().is_some_and(C::has_order);
        Ok(())
    }

    fn member<C: Codec>(&mut self, _: &Field, value: &C::Value) -> Result<(), Infallible> {
        self.0 = self.0 || C::has_order(value);
        Ok(())
    }

    fn repeated<C: Codec>(&mut self, _: &Field, values: &[C::Value]) -> Result<(), Infallible> {
        self.0 = self.0 || (C::HAS_FIELDS && values.iter().any(C::has_order));
        Ok(())
    }

    fn map<K: KeyCodec, C: Codec>(
        &mut self,
        _: &Field,
        entries: &HashMap<K::Value, C::Value>,
    ) -> Result<(), Infallible> {
        self.0 = self.0 || entries.len() > 1 || entries.values().any(C::has_order);
        Ok(())
    }
}

/// Writes JSON with its objects sorted.
fn write(value: &Value, to: &mut Vec<u8>) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            to.push(b'{');
            for (name, value) in fields {
                write(&Value::String(name.clone()), to);
                to.push(b':');
                write(value, to);
                to.push(b',');
            }
            to.push(b'}');
        }
        Value::Array(values) => {
            to.push(b'[');
            for value in values {
                write(value, to);
                to.push(b',');
            }
            to.push(b']');
        }
        // Texts are quoted, so that their content can't be taken for structure.
        plain => to.extend_from_slice(plain.to_string().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::message::{Int64, Nested, Str, VisitField};

    #[derive(Clone, PartialEq, prost::Message)]
    struct Labels {
        #[prost(map = "string, int64", tag = "1")]
        labels: HashMap<String, i64>,
        #[prost(message, repeated, tag = "2")]
        inner: Vec<Labels>,
    }

    impl Message for Labels {
        const NAME: &'static str = "test.Labels";
        fn visit<V: Visit>(&self, v: &mut V) -> Result<(), V::Error> {
            v.map::<Str, Int64>(&Field::new(0, "labels", "labels"), &self.labels)?;
            v.repeated::<Nested<Labels>>(&Field::new(1, "inner", "inner"), &self.inner)
        }
        fn visit_field<V: VisitField>(&mut self, name: &str, v: V) -> Result<V::Output, V::Error> {
            v.unknown(name)
        }
    }

    fn labels(entries: &[(&str, i64)]) -> Labels {
        Labels { labels: entries.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect(), inner: Vec::new() }
    }

    #[test]
    fn equal_maps_have_one_key_in_whatever_order_they_are() {
        let names: Vec<String> = (0..20).map(|n| format!("name{n}")).collect();
        let entries: Vec<_> = names.iter().zip(0..).map(|(name, n)| (name.as_str(), n)).collect();
        let (one, other) = (labels(&entries), labels(&entries));
        let (mut wires, mut keys) = (std::collections::HashSet::new(), std::collections::HashSet::new());
        for _ in 0..20 {
            let same = labels(&entries);
            wires.insert(same.encode_to_vec());
            keys.insert(to_key(&same));
        }
        assert!(wires.len() > 1, "the wire has no order, or this test shows nothing");
        assert_eq!(keys.len(), 1);
        let nested = |inner: &Labels| Labels { inner: vec![labels(&[]), inner.clone()], ..Labels::default() };
        assert_eq!(to_key(&nested(&one)), to_key(&nested(&other)));
        assert_ne!(to_key(&nested(&one)), to_key(&one));
    }

    #[test]
    fn messages_that_differ_have_different_keys() {
        let all = [
            labels(&[]),
            labels(&[("a", 1)]),
            labels(&[("a", 2)]),
            labels(&[("a", 1), ("b", 2)]),
            labels(&[("a", 2), ("b", 1)]),
            labels(&[("a\":\"1\",\"b", 2), ("c", 1)]),
        ];
        for (at, one) in all.iter().enumerate() {
            for (other_at, other) in all.iter().enumerate() {
                assert_eq!(to_key(one) == to_key(other), at == other_at, "{one:?} {other:?}");
            }
        }
        assert_ne!(to_key(&"a".to_owned()), to_key(&"b".to_owned()));
    }
}
