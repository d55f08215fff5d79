use std::{collections::HashMap, fmt, sync::Arc};

use serde_json::Value;

use super::{Options, from_value, to_value};
use crate::{Code, Error, Message};

/// The message types that a `google.protobuf.Any` may hold, by full name.
///
/// Any's JSON shows what is inside, so reading and writing it needs the type. Generated code has a `register` function for
/// each file; [`Registry::with`] adds one type. Cheap to clone.
///
/// ```
/// use kit::json::Registry;
///
/// let registry = Registry::default().with::<prost_types::Timestamp>();
/// assert!(registry.contains("google.protobuf.Timestamp"));
/// ```
#[derive(Clone, Default)]
pub struct Registry {
    types: Arc<HashMap<&'static str, Type>>,
    // How many values of Any are open around what is read or written now.
    depth: u8,
}

/// An Any may hold an Any. prost's own limit of 100 levels starts anew inside each, so the levels are counted here.
const DEEPEST: u8 = 32;

#[derive(Clone, Copy)]
struct Type {
    is_value: bool,
    write: fn(&[u8], &Options) -> Result<Value, Error>,
    read: fn(Value, &Options) -> Result<Vec<u8>, Error>,
}

impl Type {
    fn of<M: Message>() -> Self {
        Self {
            is_value: M::IS_VALUE,
            write: |bytes, options| {
                let message = M::decode(bytes).map_err(|e| {
                    Error::new(Code::Internal, "an Any holds bytes that are not its type").with_source(e)
                })?;
                to_value(&message, options)
            },
            read: |value, options| Ok(from_value::<M>(value, options)?.encode_to_vec()),
        }
    }
}

impl Registry {
    /// This registry and one more type.
    #[must_use]
    pub fn with<M: Message>(mut self) -> Self {
        Arc::make_mut(&mut self.types).insert(M::NAME, Type::of::<M>());
        self
    }

    /// All types of this registry and of another.
    #[must_use]
    pub fn merged(mut self, other: &Self) -> Self {
        if self.types.is_empty() {
            self.types = Arc::clone(&other.types);
        } else if !other.types.is_empty() {
            Arc::make_mut(&mut self.types).extend(other.types.iter().map(|(name, found)| (*name, *found)));
        }
        self
    }

    /// Options for what is inside an Any.
    fn inside(options: &Options) -> Result<Options, Error> {
        let mut inside = options.clone();
        inside.registry.depth += 1;
        if inside.registry.depth > DEEPEST {
            return Err(Error::invalid_argument(format!("more than {DEEPEST} values of Any inside each other")));
        }
        Ok(inside)
    }

    /// Whether a type is known, be it registered or well-known.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    fn get(&self, name: &str) -> Option<Type> {
        self.types.get(name).copied().or_else(|| well_known(name))
    }

    pub(crate) fn write_any(any: &prost_types::Any, options: &Options) -> Result<Value, Error> {
        if any.type_url.is_empty() && any.value.is_empty() {
            return Ok(Value::Object(serde_json::Map::new()));
        }
        let found = options.registry.get(name_of(&any.type_url)).ok_or_else(|| unknown(&any.type_url))?;
        let mut object = serde_json::Map::new();
        object.insert("@type".into(), Value::String(any.type_url.clone()));
        match (found.write)(&any.value, &Self::inside(options)?)? {
            Value::Object(fields) if !found.is_value => object.extend(fields),
            value => {
                object.insert("value".into(), value);
            }
        }
        Ok(Value::Object(object))
    }

    pub(crate) fn read_any(value: Value, options: &Options) -> Result<prost_types::Any, Error> {
        let Value::Object(mut object) = value else {
            return Err(Error::invalid_argument("an Any is an object with a member \"@type\""));
        };
        if object.is_empty() {
            return Ok(prost_types::Any::default());
        }
        let Some(Value::String(type_url)) = object.remove("@type") else {
            return Err(Error::invalid_argument("an Any needs a member \"@type\" that names the type of its value"));
        };
        let found = options.registry.get(name_of(&type_url)).ok_or_else(|| unknown(&type_url))?;
        let inner = if found.is_value { object.remove("value").unwrap_or_default() } else { Value::Object(object) };
        let value = (found.read)(inner, &Self::inside(options)?)?;
        Ok(prost_types::Any { type_url, value })
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.types.keys()).finish()
    }
}

fn name_of(type_url: &str) -> &str {
    type_url.rsplit_once('/').map_or(type_url, |(_, name)| name)
}

fn unknown(type_url: &str) -> Error {
    Error::invalid_argument(format!(
        "the type of an Any is not known here: {:?}; the service must register it",
        super::scalar::shorten(type_url)
    ))
}

fn well_known(name: &str) -> Option<Type> {
    Some(match name.strip_prefix("google.protobuf.")? {
        "Any" => Type::of::<prost_types::Any>(),
        "Timestamp" => Type::of::<prost_types::Timestamp>(),
        "Duration" => Type::of::<prost_types::Duration>(),
        "FieldMask" => Type::of::<prost_types::FieldMask>(),
        "Struct" => Type::of::<prost_types::Struct>(),
        "Value" => Type::of::<prost_types::Value>(),
        "ListValue" => Type::of::<prost_types::ListValue>(),
        "Empty" => Type::of::<()>(),
        "BoolValue" => Type::of::<bool>(),
        "Int32Value" => Type::of::<i32>(),
        "Int64Value" => Type::of::<i64>(),
        "UInt32Value" => Type::of::<u32>(),
        "UInt64Value" => Type::of::<u64>(),
        "FloatValue" => Type::of::<f32>(),
        "DoubleValue" => Type::of::<f64>(),
        "StringValue" => Type::of::<String>(),
        "BytesValue" => Type::of::<Vec<u8>>(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use prost_types::Any;

    fn nested(levels: usize) -> Any {
        (0..levels).fold(Any::default(), |inner, _| Any {
            type_url: "type.googleapis.com/google.protobuf.Any".to_owned(),
            value: inner.encode_to_vec(),
        })
    }

    #[test]
    fn an_any_in_an_any_has_a_limit() {
        let text = crate::json::to_string(&nested(8)).unwrap();
        assert_eq!(crate::json::from_str::<Any>(&text).unwrap(), nested(8));
        crate::json::to_string(&nested(5000)).unwrap_err();
        let deep = format!("{}{{}}{}", r#"{"@type":"a/google.protobuf.Any","value":"#.repeat(40), "}".repeat(40));
        crate::json::from_str::<Any>(&deep).unwrap_err();
    }
}
