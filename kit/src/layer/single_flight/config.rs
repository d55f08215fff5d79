use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    Method,
    layer::{
        methods,
        same::{self, MAX_REQUEST, Vary},
    },
    validate::{Validate, Violations},
};

/// As many different calls as Envoy's circuit breakers let run at once (`max_requests`): more of them are no herd.
const MAX_KEYS: usize = 1024;

/// Settings of single flight; by convention the section `single_flight`.
///
/// ```
/// use kit::layer::single_flight::SingleFlightConfig;
///
/// let config: SingleFlightConfig = serde_json::from_str(r#"{"vary": ["x-tenant"], "max_keys": 100}"#)?;
/// assert!(config.per_caller && config.max_keys == 100);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SingleFlightConfig {
    /// Methods whose calls are joined although their `.proto` file does not say that they have no side effects: `Reserve` or
    /// `shop.Shop/Reserve`.
    pub methods: BTreeSet<String>,
    /// Metadata that calls must have in common, in lower case: all that a method looks at beside its message, such as `x-tenant` or
    /// `accept-language`. Default: none beside what says who calls.
    pub vary: BTreeSet<String>,
    /// Whether calls are joined with those of the same caller only: the same `authorization` and `cookie`, and the same certificate.
    /// Turn it off where answers are the same for everybody who may ask at all, and who may not is refused before this layer.
    /// Default: yes.
    pub per_caller: bool,
    /// How many different calls of a method are followed at once; one more is made without being joined. Default: 1024.
    pub max_keys: usize,
    /// The largest request that is compared; a larger one is made without being joined. Default: 64 KiB.
    #[serde(with = "crate::size")]
    pub max_request: u64,
}

impl Default for SingleFlightConfig {
    fn default() -> Self {
        Self {
            methods: BTreeSet::new(),
            vary: BTreeSet::new(),
            per_caller: true,
            max_keys: MAX_KEYS,
            max_request: MAX_REQUEST,
        }
    }
}

impl SingleFlightConfig {
    /// Joins the calls of a method although its `.proto` file does not say that it has no side effects.
    #[must_use]
    pub fn with_method(mut self, method: impl Into<String>) -> Self {
        self.methods.insert(method.into());
        self
    }

    pub(super) fn joins(&self, method: &Method) -> bool {
        same::only_reads(method)
            || (!self.methods.is_empty() && same::names_of(method).iter().any(|name| self.methods.contains(*name)))
    }

    pub(super) fn vary(&self) -> Vary<'_> {
        Vary { names: &self.vary, per_caller: self.per_caller, max_request: self.max_request }
    }
}

impl Validate for SingleFlightConfig {
    fn validate(&self, report: &mut Violations) {
        methods::validate_names(&self.methods, report);
        same::check_vary(&self.vary, report);
        report.require(self.max_keys > 0, "max_keys", "is 0, so that no call would be joined: the default is 1024");
        report.require(
            self.max_request > 0,
            "max_request",
            "is 0, so that no call would be joined: the default is 64KiB",
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_that_can_not_be_is_named() {
        let config: SingleFlightConfig = serde_json::from_value(json!({
            "methods": ["a b", "/"], "vary": ["X-Tenant", "a b"], "max_keys": 0, "max_request": "0B",
        }))
        .unwrap();
        let mut report = Violations::default();
        config.validate(&mut report);
        let keys: Vec<_> = report.iter().map(|(key, _)| key.to_owned()).collect();
        assert_eq!(keys, ["methods", "methods", "vary", "vary", "max_keys", "max_request"]);
        SingleFlightConfig::default().check("single_flight").unwrap();
        serde_json::from_value::<SingleFlightConfig>(json!({"keys": 1})).unwrap_err();
    }
}
