//! A layer that may be left out: its settings, or `none`. For `#[serde(with = "section")]`.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, Error, MapAccess, Visitor, value::MapAccessDeserializer},
};

const NONE: &str = "none";

pub(super) fn serialize<C: Serialize, S: Serializer>(section: &Option<C>, serializer: S) -> Result<S::Ok, S::Error> {
    match section {
        Some(config) => config.serialize(serializer),
        None => serializer.serialize_str(NONE),
    }
}

pub(super) fn deserialize<'de, C, D>(deserializer: D) -> Result<Option<C>, D::Error>
where
    C: DeserializeOwned,
    D: Deserializer<'de>,
{
    deserializer.deserialize_any(SectionVisitor(PhantomData))
}

struct SectionVisitor<C>(PhantomData<C>);

impl<'de, C: DeserializeOwned> Visitor<'de> for SectionVisitor<C> {
    type Value = Option<C>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings of the layer (`{}` for its defaults), or `none` to leave it out")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<C>, A::Error> {
        C::deserialize(MapAccessDeserializer::new(map)).map(Some)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Option<C>, E> {
        match text {
            NONE => Ok(None),
            // A variable of the environment has the whole section as JSON.
            inline if inline.trim_start().starts_with('{') => serde_json::from_str(inline).map(Some).map_err(E::custom),
            other => {
                Err(E::custom(format!("{other:?} is no settings: give a section, or `none` to leave the layer out")))
            }
        }
    }

    fn visit_unit<E: Error>(self) -> Result<Option<C>, E> {
        Ok(None)
    }

    fn visit_none<E: Error>(self) -> Result<Option<C>, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<C>, D::Error> {
        deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::layer::breaker::BreakerConfig;

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    #[serde(default)]
    struct Config {
        #[serde(with = "super")]
        breaker: Option<BreakerConfig>,
    }

    impl Default for Config {
        fn default() -> Self {
            Self { breaker: Some(BreakerConfig::default()) }
        }
    }

    #[test]
    fn a_section_is_there_or_none() {
        let read = |value| serde_json::from_value::<Config>(value).map(|config| config.breaker);
        assert_eq!(read(json!({})).unwrap(), Some(BreakerConfig::default()));
        assert_eq!(read(json!({ "breaker": {} })).unwrap(), Some(BreakerConfig::default()));
        assert_eq!(read(json!({ "breaker": { "min_calls": 3 } })).unwrap().unwrap().min_calls, 3);
        assert_eq!(read(json!({ "breaker": "{\"min_calls\": 4}" })).unwrap().unwrap().min_calls, 4);
        for none in [json!({ "breaker": "none" }), json!({ "breaker": null })] {
            assert_eq!(read(none).unwrap(), None);
        }
        for (wrong, why) in [(json!("off"), "`none` to leave the layer out"), (json!(3), "settings of the layer")] {
            let error = read(json!({ "breaker": wrong })).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        assert_eq!(serde_json::to_value(Config { breaker: None }).unwrap(), json!({ "breaker": "none" }));
    }
}
