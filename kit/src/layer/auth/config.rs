use serde::{Deserialize, Serialize};

use crate::{
    layer::methods,
    validate::{Validate, Violations},
};

/// Which methods need a caller that is known; by convention the section `auth`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    /// Methods that anybody may call, `Detail` or `details.BookDetails/Detail`. Their handlers get the identity of a caller that has
    /// one; a token that is not valid is as none. Default: none, because a method that is forgotten must not be open.
    pub public: Vec<String>,
    /// What callers are told that the token is for: `realm` in `WWW-Authenticate`. Printable ASCII without `"` and `\`. Default: empty,
    /// which leaves it out, as RFC 6750 lets a server do.
    pub realm: String,
}

impl AuthConfig {
    /// A method that anybody may call.
    #[must_use]
    pub fn with_public(mut self, method: impl Into<String>) -> Self {
        self.public.push(method.into());
        self
    }

    pub(super) fn is_public(&self, method: &crate::Method) -> bool {
        self.public.iter().any(|name| methods::is(name, method))
    }
}

impl Validate for AuthConfig {
    fn validate(&self, report: &mut Violations) {
        for (at, name) in self.public.iter().enumerate() {
            if let Some(why) = methods::wrong(name) {
                report.add(&format!("public[{at}]"), why);
            }
        }
        let fits = self.realm.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\');
        report.require(fits, "realm", "can't be sent: use printable ASCII without \" and \\");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        AuthConfig::default().check("auth").unwrap();
        for (settings, message) in [
            (r#"{"public":["Detail",""]}"#, "auth.public[1] is no name of a method"),
            (r#"{"public":["/details.BookDetails/Detail"]}"#, "auth.public[0] is no name of a method"),
            (r#"{"realm":"a\"b"}"#, "auth.realm can't be sent"),
            (r#"{"realm":"a\nb"}"#, "auth.realm can't be sent"),
        ] {
            let config: AuthConfig = serde_json::from_str(settings).unwrap();
            let error = config.check("auth").unwrap_err();
            assert!(error.message().starts_with(message), "{settings}: {error}");
        }
        serde_json::from_str::<AuthConfig>(r#"{"publik":[]}"#).unwrap_err();
    }
}
