use std::{path::PathBuf, time::Duration};

use http::Uri;
use serde::{Deserialize, Serialize};

use crate::validate::{Validate, Violations};

/// Which kind of collector spans go to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Destination {
    /// Nowhere: ids travel and stand on log lines, nothing is recorded.
    #[default]
    None,
    /// Zipkin, version 2 of its API (feature `zipkin`).
    Zipkin,
    /// Any collector that takes OTLP over HTTP (feature `otlp`).
    Otlp,
}

/// How spans are sent; by convention the section `spans`.
///
/// `Debug` leaves the password of the URL out; serializing does not.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReporterConfig {
    /// Where to: `none`, `zipkin` or `otlp`. Default: `none`.
    pub to: Destination,
    /// The address of the collector, without `/api/v2/spans` or `/v1/traces`. A user and a password in it are sent as
    /// `Authorization: Basic`. Default: empty, which is `http://127.0.0.1:9411` for Zipkin and `http://127.0.0.1:4318` for
    /// OTLP, the ports that both have by themselves.
    pub url: String,
    /// The file with the authorities, in PEM, that the certificate of an `https` collector is signed by (feature `tls`).
    /// Default: none; there are no built-in ones.
    pub ca: Option<PathBuf>,
    /// The most spans that wait. Default: 10000, as Zipkin's own reporter has it.
    pub queue: usize,
    /// The most memory that waiting spans take, in bytes. Default: 16 MiB, at 1.6 kB a span as many as may wait.
    pub queue_bytes: usize,
    /// The most spans of one request. Default: 512, as OpenTelemetry's batch processor has it.
    pub batch: usize,
    /// The longest that a span waits for others. Default: 1 s, as Zipkin's own reporter has it.
    #[serde(with = "crate::duration")]
    pub interval: Duration,
    /// The longest that one attempt may take. Default: 10 s, as OTLP exporters have it.
    #[serde(with = "crate::duration")]
    pub timeout: Duration,
    /// How often a batch is sent before it is given up. Default: 5, as OpenTelemetry's retry policy has it.
    pub attempts: u32,
    /// The pause before the second attempt, of which between half and all is waited; it doubles with each. Default: 1 s, as
    /// OpenTelemetry's retry policy has it.
    #[serde(with = "crate::duration")]
    pub pause: Duration,
    /// The longest pause, also when the collector asks for more. Default: 5 s, as OpenTelemetry's retry policy has it.
    #[serde(with = "crate::duration")]
    pub longest_pause: Duration,
}

impl Default for ReporterConfig {
    fn default() -> Self {
        Self {
            to: Destination::None,
            url: String::new(),
            ca: None,
            queue: 10_000,
            queue_bytes: 16 * 1024 * 1024,
            batch: 512,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(10),
            attempts: 5,
            pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(5),
        }
    }
}

impl ReporterConfig {
    /// The defaults for a collector at this address.
    pub fn new(to: Destination, url: impl Into<String>) -> Self {
        Self { to, url: url.into(), ..Self::default() }
    }

    /// The address, with what stands for an empty one.
    pub(super) fn address(&self) -> &str {
        match (self.url.as_str(), self.to) {
            ("", Destination::Otlp) => "http://127.0.0.1:4318",
            ("", _) => "http://127.0.0.1:9411",
            (url, _) => url,
        }
    }

    /// What is wrong with the address, and the key to be changed.
    fn check_address(&self) -> Result<(), (&'static str, String)> {
        let shown = shown(self.address());
        let uri: Uri = self.address().parse().map_err(|_| {
            (
                "url",
                format!("({shown}) can't be read: write it as http://host:9411; percent-encode reserved characters"),
            )
        })?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") if cfg!(feature = "tls") => {
                if self.ca.is_none() {
                    return Err((
                        "ca",
                        format!("must name the authorities to trust for {shown}: there are no built-in ones"),
                    ));
                }
            }
            Some("https") => {
                return Err(("url", format!("({shown}) needs the feature `tls` of kit, which is not compiled in")));
            }
            _ => return Err(("url", format!("({shown}) must start with http:// or https://"))),
        }
        // A character of a password that was not escaped moves the borders of the URL's parts.
        let unescaped = uri.path().contains('@') || !has_a_port_or_none(&uri);
        if unescaped || uri.query().is_some() || uri.host().is_none_or(str::is_empty) {
            return Err((
                "url",
                format!(
                    "({shown}) must be a scheme, a host and a port, as in http://127.0.0.1:9411; percent-encode reserved characters"
                ),
            ));
        }
        Ok(())
    }
}

impl Validate for ReporterConfig {
    fn validate(&self, report: &mut Violations) {
        let missing = match self.to {
            Destination::Zipkin if cfg!(not(feature = "zipkin")) => Some("zipkin"),
            Destination::Otlp if cfg!(not(feature = "otlp")) => Some("otlp"),
            _ => None,
        };
        if let Some(feature) = missing {
            report.add("to", format!("needs the feature `{feature}` of kit, which is not compiled in"));
        }
        for (key, size) in [("queue", self.queue), ("queue_bytes", self.queue_bytes), ("batch", self.batch)] {
            report.require(size > 0, key, "is 0, which lets no span through: set to to none if that is meant");
        }
        let answerable = !self.timeout.is_zero();
        report.require(answerable, "timeout", "is 0, in which no collector can answer: the default is 10s");
        report.require(self.attempts > 0, "attempts", "is 0, so that nothing is ever sent: set at least 1");
        if let Err((key, message)) = self.check_address() {
            report.add(key, message);
        }
    }
}

fn has_a_port_or_none(uri: &Uri) -> bool {
    let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    host.ends_with(']') || host.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_ok())
}

/// A URL without user and password. When in doubt, because one of them holds a character that should have been escaped, only
/// the scheme is left.
pub(super) fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return "not a URL".to_owned() };
    let scheme: String = scheme.chars().filter(char::is_ascii_alphanumeric).collect();
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
    match authority.rsplit_once('@') {
        _ if path.contains(['@', '?', '#']) => format!("{scheme}://..."),
        Some((_, host)) => format!("{scheme}://***@{host}{path}"),
        None => url.to_owned(),
    }
}

impl std::fmt::Debug for ReporterConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReporterConfig")
            .field("to", &self.to)
            .field("url", &shown(self.address()))
            .field("queue", &self.queue)
            .field("batch", &self.batch)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_work_are_named() {
        let good = ReporterConfig::new(Destination::Zipkin, "http://127.0.0.1:9411");
        good.check("spans").unwrap();
        ReporterConfig::default().check("spans").unwrap();
        for (config, key) in [
            (ReporterConfig { queue: 0, ..good.clone() }, "queue"),
            (ReporterConfig { batch: 0, ..good.clone() }, "batch"),
            (ReporterConfig { queue_bytes: 0, ..good.clone() }, "queue_bytes"),
            (ReporterConfig { attempts: 0, ..good.clone() }, "attempts"),
            (ReporterConfig { timeout: Duration::ZERO, ..good.clone() }, "timeout"),
            (ReporterConfig { url: "zipkin:9411".into(), ..good.clone() }, "url"),
            (ReporterConfig { url: "ftp://zipkin".into(), ..good.clone() }, "url"),
            (ReporterConfig { url: "http://".into(), ..good.clone() }, "url"),
            (ReporterConfig { url: "http://user:pa ss@zipkin".into(), ..good.clone() }, "url"),
            (ReporterConfig { url: "http://user:pa/ss@zipkin".into(), ..good.clone() }, "url"),
            (ReporterConfig { url: "http://zipkin:port".into(), ..good.clone() }, "url"),
            (ReporterConfig { url: "http://zipkin/?a=b".into(), ..good }, "url"),
        ] {
            let error = config.check("spans").unwrap_err();
            let message = error.message();
            assert!(message.starts_with(&format!("spans.{key} ")), "{message}");
            assert!(!message.contains("pa ss"), "{message}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        for (url, shows) in [
            ("http://user:secret@zipkin:9411/base", "http://***@zipkin:9411/base"),
            ("http://zipkin:9411/base", "http://zipkin:9411/base"),
            ("http://user:12/secret@zipkin", "http://..."),
            ("http://zipkin/?token=secret", "http://..."),
            ("user:secret@zipkin", "not a URL"),
        ] {
            assert_eq!(shown(url), shows);
            assert!(!format!("{:?}", ReporterConfig::new(Destination::Zipkin, url)).contains("secret"), "{url}");
        }
    }
}
