use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{Method, duration};

/// Ten seconds: a person has gone by then, and it is under the 15 s after which common proxies give up.
const UNARY: Duration = Duration::from_secs(10);

/// How long calls may take. In configuration each is a time with its unit, `"1.5s"`, or `"none"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TimeoutConfig {
    /// For methods without streams. A caller's deadline may be earlier, never later. Default: 10 s.
    #[serde(serialize_with = "write", deserialize_with = "read")]
    pub unary: Option<Duration>,
    /// For methods with a stream on either side, from the first message to the last. Default: none, the caller's holds.
    #[serde(serialize_with = "write", deserialize_with = "read")]
    pub streaming: Option<Duration>,
    /// By method, `Detail` or `details.BookDetails/Detail`.
    #[serde(serialize_with = "write_map", deserialize_with = "read_map")]
    pub methods: BTreeMap<String, Option<Duration>>,
}

impl Default for TimeoutConfig {
    fn default() -> Self {
        Self { unary: Some(UNARY), streaming: None, methods: BTreeMap::new() }
    }
}

impl TimeoutConfig {
    /// The limit of one method, in the place of the common one; `None` is no limit.
    #[must_use]
    pub fn with_method(mut self, method: impl Into<String>, limit: Option<Duration>) -> Self {
        self.methods.insert(method.into(), limit);
        self
    }

    /// The limit that holds for a method.
    pub fn of(&self, method: &Method) -> Option<Duration> {
        let whole = method.path.strip_prefix('/').unwrap_or(&method.path);
        match self.methods.get(whole).or_else(|| self.methods.get(&*method.name)) {
            Some(limit) => *limit,
            None if method.kind.client_streams() || method.kind.server_streams() => self.streaming,
            None => self.unary,
        }
    }
}

fn to_text(limit: Option<Duration>) -> String {
    limit.map_or_else(|| "none".to_owned(), duration::format)
}

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
    serializer.serialize_str(&to_text(*limit))
}

pub(in crate::layer) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    from_text(&String::deserialize(deserializer)?).map_err(|e: D::Error| D::Error::custom(e))
}

fn write_map<S: Serializer>(limits: &BTreeMap<String, Option<Duration>>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(limits.iter().map(|(method, limit)| (method, to_text(*limit))))
}

fn read_map<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Option<Duration>>, D::Error> {
    let texts = BTreeMap::<String, String>::deserialize(deserializer)?;
    texts.into_iter().map(|(method, text)| Ok((method, from_text(&text)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MethodInfo, MethodKind};

    #[test]
    fn the_nearest_rule_wins() {
        let second = Some(Duration::from_secs(1));
        let config = TimeoutConfig::default().with_method("Detail", None).with_method("a.B/Detail", second);
        let method =
            |service: &'static str, name: &'static str, kind| Method::from(MethodInfo::new(service, name, kind));
        assert_eq!(config.of(&method("a.B", "Detail", MethodKind::Unary)), second);
        assert_eq!(config.of(&method("a.C", "Detail", MethodKind::Unary)), None);
        assert_eq!(config.of(&method("a.C", "Get", MethodKind::Unary)), Some(UNARY));
        assert_eq!(config.of(&method("a.C", "Watch", MethodKind::ServerStreaming)), None);
    }

    #[test]
    fn texts_are_read_and_written() {
        let config: TimeoutConfig = serde_json::from_str(r#"{"unary":"250ms","methods":{"Watch":"none"}}"#).unwrap();
        assert_eq!(config.unary, Some(Duration::from_millis(250)));
        assert_eq!(serde_json::to_value(&config).unwrap()["unary"], "250ms");
        for wrong in [r#"{"unary":"5"}"#, r#"{"unary":"-1s"}"#, r#"{"unary":"0s"}"#, r#"{"unary":"1e999s"}"#] {
            serde_json::from_str::<TimeoutConfig>(wrong).unwrap_err();
        }
    }
}
