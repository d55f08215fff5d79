//! The messages as a careful person writes them for serde: the floor of what JSON costs.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// [`crate::proto::bench::Book`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the fields are those of the message")]
pub struct Book {
    #[serde(with = "text")]
    pub id: i64,
    pub full_title: String,
    pub author: Option<Author>,
    pub chapters: Vec<Chapter>,
    pub labels: HashMap<String, String>,
}

/// [`crate::proto::press::Note`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the fields are those of the message")]
pub struct Note {
    #[serde(with = "text")]
    pub id: i64,
    pub title: String,
    pub author: String,
    pub text: String,
    pub pages: i32,
}

/// [`crate::proto::bench::Author`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the fields are those of the message")]
pub struct Author {
    pub name: String,
    pub born: i32,
}

/// [`crate::proto::bench::Chapter`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the fields are those of the message")]
pub struct Chapter {
    pub number: i32,
    pub title: String,
    #[serde(with = "text")]
    pub words: i64,
}

/// 64-bit integers as strings, as protobuf's JSON has them.
mod text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(value: &i64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        <&str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
