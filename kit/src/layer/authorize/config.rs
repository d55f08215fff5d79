use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    layer::methods,
    validate::{Validate, Violations},
};

/// What holds for methods without a rule of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DefaultRule {
    /// Nobody may call them: a method that is forgotten is not open.
    #[default]
    Deny,
    /// Whoever is known may call them.
    Allow,
}

/// Who may call which method; by convention the section `authorize`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthorizeConfig {
    /// `deny` or `allow`, which is for callers that are known, for methods without a rule. Default: `deny`, as OWASP's "deny by default".
    pub default: DefaultRule,
    /// By method, `Detail` or `details.BookDetails/Detail`.
    pub methods: BTreeMap<String, MethodRule>,
}

/// Who may call a method. Without any setting: whoever is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MethodRule {
    /// What the caller needs, all of it. Default: none.
    pub scopes: Vec<String>,
    /// What the caller must be, one of them if there are any. Default: none.
    pub roles: Vec<String>,
    /// Anybody may call it, known or not; it stands alone then. Default: false.
    pub public: bool,
}

impl MethodRule {
    /// The caller needs all of these scopes.
    pub fn scopes<S: Into<String>>(scopes: impl IntoIterator<Item = S>) -> Self {
        Self { scopes: scopes.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// The caller needs one of these roles.
    pub fn roles<S: Into<String>>(roles: impl IntoIterator<Item = S>) -> Self {
        Self { roles: roles.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// Anybody may call it.
    pub fn public() -> Self {
        Self { public: true, ..Self::default() }
    }
}

impl AuthorizeConfig {
    /// Whoever is known may call methods without a rule.
    pub fn allow() -> Self {
        Self { default: DefaultRule::Allow, ..Self::default() }
    }

    /// The rule of one method, in the place of the default.
    #[must_use]
    pub fn with_method(mut self, method: impl Into<String>, rule: MethodRule) -> Self {
        self.methods.insert(method.into(), rule);
        self
    }
}

impl Validate for AuthorizeConfig {
    fn validate(&self, report: &mut Violations) {
        for (method, rule) in &self.methods {
            if let Some(why) = methods::wrong(method) {
                report.add(&format!("methods.{method}"), why);
            }
            report.section(&format!("methods.{method}"), rule);
        }
    }
}

impl Validate for MethodRule {
    fn validate(&self, report: &mut Violations) {
        let asks = !self.scopes.is_empty() || !self.roles.is_empty();
        report.require(!(self.public && asks), "public", "is set beside scopes or roles: leave one of them out");
        for (key, words) in [("scopes", &self.scopes), ("roles", &self.roles)] {
            let wrong = words.iter().find(|word| word.is_empty() || word.contains(char::is_whitespace));
            if let Some(word) = wrong {
                report.add(key, format!("has {word:?}, which nobody can have: write one in each item"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        AuthorizeConfig::default().check("authorize").unwrap();
        for (settings, message) in [
            (r#"{"methods":{"A":{"public":true,"scopes":["a"]}}}"#, "authorize.methods.A.public is set beside"),
            (r#"{"methods":{"A":{"scopes":["a b"]}}}"#, "authorize.methods.A.scopes has \"a b\""),
            (r#"{"methods":{"A":{"roles":[""]}}}"#, "authorize.methods.A.roles has \"\""),
            (r#"{"methods":{"/a.B/C":{}}}"#, "authorize.methods./a.B/C is no name"),
        ] {
            let config: AuthorizeConfig = serde_json::from_str(settings).unwrap();
            let error = config.check("authorize").unwrap_err();
            assert!(error.message().starts_with(message), "{settings}: {error}");
        }
        for wrong in [r#"{"default":"maybe"}"#, r#"{"methods":{"A":{"scope":["a"]}}}"#, r#"{"method":{}}"#] {
            serde_json::from_str::<AuthorizeConfig>(wrong).unwrap_err();
        }
    }
}
