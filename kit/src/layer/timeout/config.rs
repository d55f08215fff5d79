use std::{fmt, time::Duration};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::{
    Method, duration,
    validate::{Validate, Violations},
};

/// Ten seconds: a person has gone by then, and it is under the 15 s after which common proxies give up.
const UNARY: Duration = Duration::from_secs(10);

/// How long calls may take. In configuration each is a time with its unit, `"1.5s"`, or `"none"`; such a text in the place of the
/// whole section is the limit of all calls.
///
/// ```
/// use kit::layer::timeout::TimeoutConfig;
/// use std::time::Duration;
///
/// let config: TimeoutConfig = serde_json::from_str(r#"{ "unary": "2s", "idle": "30s" }"#)?;
/// assert_eq!(config.unary, Some(Duration::from_secs(2)));
/// let config: TimeoutConfig = serde_json::from_str(r#""2s""#)?;
/// assert_eq!(config, TimeoutConfig::all(Some(Duration::from_secs(2))));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TimeoutConfig {
    /// For methods without streams. A caller's deadline may be earlier, never later. Default: 10 s.
    #[serde(serialize_with = "write")]
    pub unary: Option<Duration>,
    /// For methods with a stream on either side, from the first message to the last. Default: none, the caller's holds.
    #[serde(serialize_with = "write")]
    pub streaming: Option<Duration>,
    /// For the next message of a stream, in either direction, while somebody waits for it. Default: none, because many streams are
    /// quiet for hours.
    #[serde(serialize_with = "write")]
    pub idle: Option<Duration>,
}

impl Default for TimeoutConfig {
    fn default() -> Self {
        Self { unary: Some(UNARY), streaming: None, idle: None }
    }
}

impl TimeoutConfig {
    /// The same limit for all calls, with streams or without; `None` is no limit.
    pub fn all(limit: Option<Duration>) -> Self {
        Self { unary: limit, streaming: limit, ..Self::default() }
    }

    /// The limit that holds for a method.
    pub fn of(&self, method: &Method) -> Option<Duration> {
        if method.kind.client_streams() || method.kind.server_streams() { self.streaming } else { self.unary }
    }
}

/// Refuses limits of zero, which no text can have and a program may set.
impl Validate for TimeoutConfig {
    fn validate(&self, report: &mut Violations) {
        for (key, limit) in [("unary", self.unary), ("streaming", self.streaming), ("idle", self.idle)] {
            report.require(limit != Some(Duration::ZERO), key, ZERO);
        }
    }
}

const ZERO: &str = "is a limit of zero, which lets no call through: use a time, or none";

fn from_text<E: serde::de::Error>(text: &str) -> Result<Option<Duration>, E> {
    if text == "none" {
        return Ok(None);
    }
    match duration::parse(text) {
        Ok(limit) if limit.is_zero() => Err(E::custom("a limit of zero lets no call through: use a time, or none")),
        Ok(limit) => Ok(Some(limit)),
        Err(error) => Err(E::custom(format!("{error}; `none` is no limit"))),
    }
}

pub(in crate::layer) fn write<S: Serializer>(limit: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&limit.map_or_else(|| "none".to_owned(), duration::format))
}

pub(in crate::layer) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    from_text(&String::deserialize(deserializer)?).map_err(|e: D::Error| D::Error::custom(e))
}

impl<'de> Deserialize<'de> for TimeoutConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ConfigVisitor)
    }
}

struct ConfigVisitor;

impl<'de> Visitor<'de> for ConfigVisitor {
    type Value = TimeoutConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time such as \"2s\", \"none\", or the limits unary, streaming and idle")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<TimeoutConfig, E> {
        from_text(text).map(TimeoutConfig::all)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TimeoutConfig, A::Error> {
        #[derive(Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct Limits {
            #[serde(deserialize_with = "read")]
            unary: Option<Duration>,
            #[serde(deserialize_with = "read")]
            streaming: Option<Duration>,
            #[serde(deserialize_with = "read")]
            idle: Option<Duration>,
        }

        impl Default for Limits {
            fn default() -> Self {
                let TimeoutConfig { unary, streaming, idle } = TimeoutConfig::default();
                Self { unary, streaming, idle }
            }
        }

        let Limits { unary, streaming, idle } = Limits::deserialize(MapAccessDeserializer::new(map))?;
        Ok(TimeoutConfig { unary, streaming, idle })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MethodInfo, MethodKind};

    #[test]
    fn methods_with_streams_have_a_limit_of_their_own() {
        let config = TimeoutConfig { streaming: Some(Duration::from_secs(60)), ..TimeoutConfig::default() };
        let limit = |kind| config.of(&Method::from(MethodInfo::new("a.B", "C", kind)));
        assert_eq!(limit(MethodKind::Unary), Some(UNARY));
        for kind in [MethodKind::ClientStreaming, MethodKind::ServerStreaming, MethodKind::BidiStreaming] {
            assert_eq!(limit(kind), Some(Duration::from_secs(60)));
        }
    }

    #[test]
    fn a_limit_of_zero_is_refused_by_name() {
        let zero = Some(Duration::ZERO);
        TimeoutConfig::all(None).check("timeout").unwrap();
        for (config, key) in [
            (TimeoutConfig { unary: zero, ..TimeoutConfig::default() }, "unary"),
            (TimeoutConfig { streaming: zero, ..TimeoutConfig::default() }, "streaming"),
            (TimeoutConfig { idle: zero, ..TimeoutConfig::default() }, "idle"),
        ] {
            let error = config.check("timeout").unwrap_err();
            assert!(error.message().starts_with(&format!("timeout.{key} is a limit of zero")), "{error}");
        }
    }

    #[test]
    fn texts_are_read_and_written() {
        let config: TimeoutConfig = serde_json::from_str(r#"{"unary":"250ms","idle":"1m"}"#).unwrap();
        assert_eq!((config.unary, config.streaming), (Some(Duration::from_millis(250)), None));
        let written = serde_json::to_value(&config).unwrap();
        assert_eq!(written, serde_json::json!({ "unary": "250ms", "streaming": "none", "idle": "1m" }));
        assert_eq!(serde_json::from_value::<TimeoutConfig>(written).unwrap(), config);
        assert_eq!(serde_json::from_str::<TimeoutConfig>(r#""none""#).unwrap(), TimeoutConfig::all(None));
        for wrong in
            [r#"{"unary":"5"}"#, r#"{"unary":"-1s"}"#, r#"{"unary":"0s"}"#, r#"{"unary":"1e999s"}"#, r#""0s""#, "5"]
        {
            serde_json::from_str::<TimeoutConfig>(wrong).unwrap_err();
        }
        let error = serde_json::from_str::<TimeoutConfig>(r#"{"unray":"5s"}"#).unwrap_err().to_string();
        assert!(error.contains("unray") && error.contains("streaming"), "{error}");
    }
}
