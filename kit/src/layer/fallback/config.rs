use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    Class, Code, Error, duration,
    layer::{degraded, retry::MAX_REPLAY},
    validate::{Validate, Violations},
};

/// A few round trips in one data centre and the work of a cheap answer: half of what a caller feels as at once (100 ms).
const RESERVE: Duration = Duration::from_millis(50);

/// Settings of a fallback; by convention the section `fallback`.
///
/// ```
/// use kit::layer::fallback::FallbackConfig;
///
/// let config: FallbackConfig = serde_json::from_str(r#"{"codes": ["NOT_FOUND"], "reserve": "20ms"}"#)?;
/// assert_eq!(serde_json::to_value(&config)?["codes"][0], "NOT_FOUND");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FallbackConfig {
    /// Codes that are answered by the fallback beside those that say that the service is not well, such as `NOT_FOUND` or
    /// `RESOURCE_EXHAUSTED`. Default: none.
    pub codes: BTreeSet<String>,
    /// How long before its deadline a call is given up, so that the fallback has time; at most half of what the call has. With zero
    /// the call may use all, and one that does is not answered by the fallback. Default: 50 ms.
    #[serde(with = "duration")]
    pub reserve: Duration,
    /// The largest request that is kept for the fallback; a larger call has none. A fallback to a value keeps none and is always
    /// there. Default: 64 KiB, what Linkerd keeps of a request to replay it.
    #[serde(with = "crate::size")]
    pub max_request: u64,
}

impl Default for FallbackConfig {
    fn default() -> Self {
        Self { codes: BTreeSet::new(), reserve: RESERVE, max_request: MAX_REPLAY }
    }
}

impl FallbackConfig {
    /// Answers errors of this code too.
    #[must_use]
    pub fn with_code(mut self, code: Code) -> Self {
        self.codes.insert(code.name().to_owned());
        self
    }

    /// Whether an error is one that the fallback answers.
    pub(super) fn answers(&self, error: &Error) -> bool {
        degraded::is_outage(error) || (error.class() != Class::Cancelled && self.codes.contains(error.code().name()))
    }
}

impl Validate for FallbackConfig {
    fn validate(&self, report: &mut Violations) {
        for name in &self.codes {
            match Code::ALL.into_iter().find(|code| code.name() == name) {
                None => report.add("codes", format!("has {name:?}, which is no code: write it as in NOT_FOUND")),
                Some(Code::Ok) => report.add("codes", "has OK, which is no error: leave it out"),
                Some(Code::Cancelled) => {
                    report.add("codes", "has CANCELLED: nobody waits for an answer then; leave it out");
                }
                Some(code @ (Code::InvalidArgument | Code::PermissionDenied | Code::Unauthenticated)) => {
                    let why = "what was refused to the caller would be answered all the same; leave it out";
                    report.add("codes", format!("has {code}: {why}"));
                }
                Some(_) => {}
            }
        }
        report.require(
            self.max_request > 0,
            "max_request",
            "is 0, so that no call has a fallback: the default is 64KiB",
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wrong(config: serde_json::Value) -> Vec<String> {
        let config: FallbackConfig = serde_json::from_value(config).unwrap();
        let mut report = Violations::default();
        config.validate(&mut report);
        report.iter().map(|(key, why)| format!("{key} {why}")).collect()
    }

    #[test]
    fn all_that_can_not_be_is_named() {
        assert_eq!(wrong(json!({})), [""; 0]);
        assert_eq!(wrong(json!({"codes": ["NOT_FOUND", "RESOURCE_EXHAUSTED"], "reserve": "0s"})), [""; 0]);
        let found = wrong(json!({"codes": ["404", "CANCELLED", "OK", "UNAUTHENTICATED"], "max_request": "0B"}));
        assert_eq!(found.len(), 5, "{found:?}");
        assert!(found[0].starts_with("codes has \"404\""), "{found:?}");
        assert!(found[4].starts_with("max_request is 0"), "{found:?}");
        serde_json::from_value::<FallbackConfig>(json!({"code": []})).unwrap_err();
    }

    #[test]
    fn codes_add_to_what_an_outage_is() {
        let config = FallbackConfig::default().with_code(Code::NotFound);
        assert!(config.answers(&Error::not_found("")) && config.answers(&Error::internal("")));
        assert!(!config.answers(&Error::aborted("")));
        assert!(!FallbackConfig::default().answers(&Error::not_found("")));
    }
}
