use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Algorithm, claims::ANY, source::Origin};
use crate::{
    duration, size,
    validate::{Validate, Violations},
};

/// RFC 7519 speaks of "a few minutes" at most for clocks that differ; Spring Security and jsonwebtoken have a minute.
const LEEWAY: Duration = Duration::from_secs(60);
/// The longest head of a request that common servers take: nginx's and Apache's buffers have 8 KiB.
const MAX_TOKEN_SIZE: u64 = 8 * 1024;

const MOST_LEEWAY: Duration = Duration::from_secs(10 * 60);
const SIZES: std::ops::RangeInclusive<u64> = 256..=64 * 1024;
const REFRESHES: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);

/// Which tokens are taken; by convention the section `auth.jwt`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JwtConfig {
    /// Where the keys are: the path of a file with a JWKS, or `https://...`. Empty for keys that the program gives. Default: empty.
    pub keys: String,
    /// How often the keys are looked at, 1 s to 24 h. Default: none, which is 10 s for a file, as for certificates, and 5 min for an
    /// address, as the least that common providers let a set be kept.
    #[serde(with = "duration::option")]
    pub refresh: Option<Duration>,
    /// Whose tokens are taken: values of `iss`. At least one; `*` takes any.
    pub issuers: Vec<String>,
    /// Whom the tokens are for: values of `aud`. At least one; `*` takes any, also tokens that name nobody.
    pub audiences: Vec<String>,
    /// How tokens may be signed. Default: `[RS256, PS256, ES256, EdDSA]`, which is all but `HS256`.
    pub algorithms: Vec<Algorithm>,
    /// By how much clocks may differ, up to 10 min. Default: 1 min.
    #[serde(with = "duration")]
    pub leeway: Duration,
    /// The longest token, 256 B to 64 KiB. Default: 8 KiB.
    #[serde(with = "size")]
    pub max_token_size: u64,
    /// The claim with the scopes: a text with blanks between them, or an array; `a.b` is `b` in `a`. Default: `scope` (RFC 9068).
    pub scopes_claim: String,
    /// The claim with the roles, as `scopes_claim`. Default: `roles` (RFC 9068).
    pub roles_claim: String,
}

impl Default for JwtConfig {
    fn default() -> Self {
        Self {
            keys: String::new(),
            refresh: None,
            issuers: Vec::new(),
            audiences: Vec::new(),
            algorithms: Algorithm::PUBLIC_KEY.to_vec(),
            leeway: LEEWAY,
            max_token_size: MAX_TOKEN_SIZE,
            scopes_claim: "scope".to_owned(),
            roles_claim: "roles".to_owned(),
        }
    }
}

impl JwtConfig {
    /// Tokens of these issuers for these audiences, by keys of a file or an address.
    pub fn from_source<S: Into<String>, T: Into<String>>(
        keys: impl Into<String>,
        issuers: impl IntoIterator<Item = S>,
        audiences: impl IntoIterator<Item = T>,
    ) -> Self {
        Self {
            keys: keys.into(),
            issuers: issuers.into_iter().map(Into::into).collect(),
            audiences: audiences.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }
}

impl Validate for JwtConfig {
    fn validate(&self, report: &mut Violations) {
        if let Err(why) = Origin::check(&self.keys) {
            report.add("keys", why);
        }
        if let Some(refresh) = self.refresh {
            let message = format!("is {}: give 1s to 24h", duration::format(refresh));
            report.require(REFRESHES.contains(&refresh), "refresh", message);
        }
        for (key, names, what) in [
            ("issuers", &self.issuers, "whose tokens are taken"),
            ("audiences", &self.audiences, "whom tokens are for"),
        ] {
            report.require(!names.is_empty(), key, format!("is empty: say {what}, or \"{ANY}\" for any"));
            report.require(names.iter().all(|name| !name.is_empty()), key, "has an empty name: leave it out");
        }
        report.require(!self.algorithms.is_empty(), "algorithms", "is empty: no token could be taken");
        let message = format!("is {}: give at most 10m", duration::format(self.leeway));
        report.require(self.leeway <= MOST_LEEWAY, "leeway", message);
        let message = format!("is {} bytes: give 256B to 64KiB", self.max_token_size);
        report.require(SIZES.contains(&self.max_token_size), "max_token_size", message);
        for (key, claim) in [("scopes_claim", &self.scopes_claim), ("roles_claim", &self.roles_claim)] {
            report.require(!claim.is_empty(), key, "is empty: name a claim");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let with = |more: &str| {
            let text = format!(r#"{{"issuers":["a"],"audiences":["b"]{more}}}"#);
            serde_json::from_str::<JwtConfig>(&text)
        };
        with("").unwrap().check("auth.jwt").unwrap();
        for (more, message) in [
            (r#","refresh":"10ms""#, "auth.jwt.refresh is 10ms"),
            (r#","algorithms":[]"#, "auth.jwt.algorithms is empty"),
            (r#","leeway":"11m""#, "auth.jwt.leeway is 11m"),
            (r#","max_token_size":"1MiB""#, "auth.jwt.max_token_size is 1048576 bytes"),
            (r#","roles_claim":"""#, "auth.jwt.roles_claim is empty"),
            (r#","keys":"ftp://a/b""#, "auth.jwt.keys "),
            (r#","keys":"https://user:pa55@a/b""#, "auth.jwt.keys "),
        ] {
            let error = with(more).unwrap().check("auth.jwt").unwrap_err();
            assert!(error.message().starts_with(message) && !error.message().contains("pa55"), "{more}: {error}");
        }
        for wrong in [r#","algorithms":["none"]"#, r#","algorithms":["RS512"]"#, r#","leeway":60"#, r#","key":"a""#] {
            with(wrong).unwrap_err();
        }
        let mut found = Violations::default();
        JwtConfig::default().validate(&mut found);
        let keys: Vec<_> = found.iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["issuers", "audiences"], "neither is taken unless it is named");
    }
}
