use serde::{Deserialize, Serialize};

use crate::{
    message::rules::MAX_VIOLATIONS,
    validate::{Validate, Violations},
};

/// A longer list is no answer to read. What it may be in bytes is fixed anyway, for the sake of gRPC trailers.
const MOST_VIOLATIONS: usize = 256;

/// How requests are checked; by convention the section `validation`.
///
/// ```
/// use kit::layer::validation::ValidationConfig;
///
/// let config: ValidationConfig = serde_json::from_str(r#"{ "max_violations": 8 }"#)?;
/// assert!(config.enabled);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ValidationConfig {
    /// Whether they are. Default: true.
    pub enabled: bool,
    /// How many violations of one request are reported. Default: 32.
    pub max_violations: usize,
}

impl Default for ValidationConfig {
    fn default() -> Self {
        Self { enabled: true, max_violations: MAX_VIOLATIONS }
    }
}

impl Validate for ValidationConfig {
    fn validate(&self, report: &mut Violations) {
        report.require(
            (1..=MOST_VIOLATIONS).contains(&self.max_violations),
            "max_violations",
            format!(
                "must be from 1 to {MOST_VIOLATIONS}: a caller has to be told something, and to be able to read it"
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_is_named() {
        ValidationConfig::default().check("validation").unwrap();
        for max_violations in [0, MOST_VIOLATIONS + 1] {
            let error =
                ValidationConfig { max_violations, ..ValidationConfig::default() }.check("validation").unwrap_err();
            assert!(error.message().starts_with("validation.max_violations must be from 1 to 256"), "{error}");
        }
        serde_json::from_str::<ValidationConfig>(r#"{"max":1}"#).unwrap_err();
        let config: ValidationConfig = serde_json::from_str(r#"{"enabled":false}"#).unwrap();
        assert_eq!(config, ValidationConfig { enabled: false, ..ValidationConfig::default() });
    }
}
