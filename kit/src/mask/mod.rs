//! Hides secrets in what is printed: log lines, error reports, the effective configuration.
//!
//! Three things are hidden: the passwords of URLs, anywhere in a text; the values of query parameters, headers, fields and
//! JSON members whose name says that they are secret; and what is a [`Secret`] by its type. When in doubt too much is hidden.
//!
//! ```
//! use kit::mask::Mask;
//!
//! let mask = Mask::default();
//! assert_eq!(mask.text("can't reach mysql://root:pa55@db/books"), "can't reach mysql://root:***@db/books");
//! assert_eq!(mask.text("GET /v1/books?api_key=k&page=2"), "GET /v1/books?api_key=***&page=2");
//! assert_eq!(mask.value("authorization", "Bearer abc"), "***");
//! assert_eq!(mask.value("x-tenant", "blue"), "blue");
//!
//! let mut json = serde_json::json!({ "user": "ann", "login": { "password": "pa55" } });
//! mask.json(&mut json);
//! assert_eq!(json["login"]["password"], "***");
//! ```

use std::{borrow::Cow, sync::Arc};

use serde_json::Value;

use crate::Metadata;

mod arguments;
mod secret;
mod text;

pub use secret::Secret;

/// What is shown in the place of a secret.
pub const MASK: &str = "***";

/// What a name holds that says that its value is secret. Compared without case and without `-`, `_` and `.`.
const PARTS: [&str; 12] = [
    "authorization",
    "cookie",
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "apikey",
    "accesskey",
    "privatekey",
    "credential",
    "signature",
];

/// Names that are secret as a whole; as a part of another they say nothing (`sig` in `design`).
const WHOLE: [&str; 4] = ["pwd", "pass", "sig", "dsn"];

/// Which names are secret. The default knows the usual ones: `authorization`, `cookie`, `set-cookie`, `x-api-key`, and all
/// that hold `token`, `secret`, `password` and the like.
///
/// Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mask {
    more: Arc<[String]>,
}

impl Mask {
    /// The usual names, and all that hold one of these: `patient-id` hides `x-patient-id` and `patientId` too.
    pub fn with_names<I: IntoIterator<Item = N>, N: AsRef<str>>(names: I) -> Self {
        let names = names.into_iter().map(|name| letters(name.as_ref()).map(char::from).collect::<String>());
        Self { more: names.filter(|name| !name.is_empty()).collect() }
    }

    /// Whether a name says that its value is secret.
    pub fn hides(&self, name: &str) -> bool {
        PARTS.iter().any(|part| holds(name, part))
            || WHOLE.iter().any(|whole| letters(name).eq(whole.bytes()))
            || self.more.iter().any(|part| holds(name, part))
    }

    /// A value as it may be shown: hidden if its name says so, without the passwords of URLs otherwise.
    pub fn value<'a>(&self, name: &str, value: &'a str) -> Cow<'a, str> {
        if self.hides(name) { Cow::Borrowed(MASK) } else { self.text(value) }
    }

    /// A text without the passwords and the secret query parameters of the URLs in it.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        text::mask(text, |name| self.hides(name))
    }

    /// Hides the members of a JSON value, at any depth, whose names say so, and the passwords of URLs in its texts.
    pub fn json(&self, value: &mut Value) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    if !self.hides(name) {
                        self.json(value);
                    } else if !matches!(value, Value::Null | Value::Bool(_)) {
                        *value = MASK.into();
                    }
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.json(value)),
            Value::String(text) => {
                if let Cow::Owned(masked) = self.text(text) {
                    *text = masked;
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// The names and values of metadata as they may be shown.
    pub fn metadata(&self, metadata: &Metadata) -> Vec<(String, String)> {
        metadata.iter().map(|(name, value)| (name.to_owned(), self.value(name, value).into_owned())).collect()
    }
}

/// A text without the passwords and the secret query parameters of the URLs in it, by the usual names.
pub fn urls(text: &str) -> Cow<'_, str> {
    text::mask(text, |name| Mask::default().hides(name))
}

fn letters(name: &str) -> impl Iterator<Item = u8> + Clone + '_ {
    name.bytes().filter(|byte| !matches!(byte, b'-' | b'_' | b'.' | b' ')).map(|byte| byte.to_ascii_lowercase())
}

/// Whether `part` (lower case, without separators) stands anywhere in a name.
fn holds(name: &str, part: &str) -> bool {
    let mut rest = letters(name);
    loop {
        let mut candidate = rest.clone();
        if part.bytes().all(|wanted| candidate.next() == Some(wanted)) {
            return true;
        }
        if rest.next().is_none() {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_say_what_is_secret() {
        let mask = Mask::default();
        for name in [
            "authorization",
            "Proxy-Authorization",
            "cookie",
            "set-cookie",
            "x-api-key",
            "apiKey",
            "x-csrf-token",
            "client_secret",
            "newPassword",
            "PWD",
            "X-Amz-Signature",
            "sig",
        ] {
            assert!(mask.hides(name), "{name}");
        }
        for name in ["x-tenant", "author", "design", "tok", "passenger", "user-agent", "x-request-id", "key", ""] {
            assert!(!mask.hides(name), "{name}");
        }
    }

    #[test]
    fn further_names_can_be_given() {
        let mask = Mask::with_names(["Patient-Id", ""]);
        assert!(mask.hides("x-patient-id") && mask.hides("patientId") && mask.hides("password"));
        assert!(!mask.hides("id") && !mask.hides("x-tenant"));
    }

    #[test]
    fn members_are_hidden_at_any_depth_and_absence_is_shown() {
        let mut value = json!({
            "a": [{ "sessionToken": ["x", "y"], "n": 1 }],
            "secret": null, "hasPassword": true, "pin": 7,
            "url": "https://u:p@host/?token=t",
        });
        Mask::with_names(["pin"]).json(&mut value);
        let expected = json!({
            "a": [{ "sessionToken": "***", "n": 1 }],
            "secret": null, "hasPassword": true, "pin": "***",
            "url": "https://u:***@host/?token=***",
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn metadata_is_shown_without_its_secrets_and_its_debug_form_has_no_values() {
        let mut metadata = Metadata::new();
        for (name, value) in
            [("authorization", "Bearer s3cret"), ("x-tenant", "blue"), ("referer", "http://a:s3cret@b")]
        {
            metadata.insert(name, value).unwrap();
        }
        let shown = Mask::default().metadata(&metadata);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert!(
            shown.contains(&pair("authorization", "***")) && shown.contains(&pair("x-tenant", "blue")),
            "{shown:?}"
        );
        let mut cx = crate::Context::background();
        *cx.metadata_mut() = metadata;
        for text in [format!("{shown:?}"), format!("{cx:?}"), format!("{:#?}", crate::Request::new(cx, ()))] {
            assert!(!text.contains("s3cret"), "{text}");
        }
    }
}
