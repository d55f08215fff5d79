//! What a token whose signature is right must say.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use super::{Failure, JwtConfig, Refused};
use crate::layer::auth::Identity;

/// Whom the claims are of, if they hold now.
pub(super) fn identity(claims: Map<String, Value>, config: &JwtConfig, now: SystemTime) -> Result<Identity, Refused> {
    check_time(&claims, config.leeway, now)?;
    let issuer = claims.get("iss").and_then(Value::as_str);
    if !taken(&config.issuers, issuer) {
        return Err(Refused::new(Failure::Issuer, "the issuer is another"));
    }
    let audience = claims.get("aud");
    let one = audience.and_then(Value::as_str);
    let many = audience.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    if !taken(&config.audiences, one.into_iter().chain(many)) {
        return Err(Refused::new(Failure::Audience, "the audience is another"));
    }
    // Tokens of programs have the name of the program (RFC 9068, section 2.2, has both).
    let subject = ["sub", "client_id"].into_iter().find_map(|name| claims.get(name).and_then(Value::as_str));
    let Some(subject) = subject.filter(|subject| !subject.is_empty()) else {
        return Err(Refused::new(Failure::Malformed, "the token is of nobody: it has neither sub nor client_id"));
    };
    let identity = Identity::new(subject)
        .with_scopes(words(&claims, &config.scopes_claim))
        .with_roles(words(&claims, &config.roles_claim));
    let identity = match issuer {
        Some(issuer) => identity.with_issuer(issuer),
        None => identity,
    };
    Ok(identity.with_claims(claims))
}

fn check_time(claims: &Map<String, Value>, leeway: Duration, now: SystemTime) -> Result<(), Refused> {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let leeway = leeway.as_secs_f64();
    let Some(expires) = date(claims, "exp")? else {
        return Err(Refused::new(Failure::Malformed, "the token has no exp: it would hold for ever"));
    };
    if now >= expires + leeway {
        return Err(Refused::new(Failure::Expired, format!("the token expired {:.0} s ago", now - expires)));
    }
    match date(claims, "nbf")? {
        Some(begins) if now + leeway < begins => {
            Err(Refused::new(Failure::NotYetValid, format!("the token holds in {:.0} s", begins - now)))
        }
        _ => Ok(()),
    }
}

/// Seconds since 1970, which may have a fraction.
fn date(claims: &Map<String, Value>, name: &str) -> Result<Option<f64>, Refused> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => match value.as_f64() {
            Some(date) => Ok(Some(date)),
            None => Err(Refused::new(Failure::Malformed, format!("{name} is no number"))),
        },
    }
}

/// Stands in settings for whatever there is, also for nothing.
pub(super) const ANY: &str = "*";

fn taken<'a>(ours: &[String], theirs: impl IntoIterator<Item = &'a str>) -> bool {
    ours.iter().any(|ours| ours == ANY) || theirs.into_iter().any(|theirs| ours.iter().any(|ours| ours == theirs))
}

/// The words of a claim: a text with blanks between them, or an array. The claim may lie in others: `realm_access.roles`.
fn words(claims: &Map<String, Value>, path: &str) -> Vec<String> {
    let found = claims.get(path).or_else(|| {
        let (first, rest) = path.split_once('.')?;
        rest.split('.').try_fold(claims.get(first)?, |value, name| value.get(name))
    });
    match found {
        Some(Value::String(text)) => text.split_ascii_whitespace().map(str::to_owned).collect(),
        Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}
