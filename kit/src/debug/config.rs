use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::Error;

/// The settings of the debug port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DebugConfig {
    /// Whether there is a debug port. Read by `main`, which leaves the port away. Default: true.
    pub enabled: bool,
    /// Where it listens. Default: 127.0.0.1:5003, which only this machine reaches: whoever reaches the port sees settings and
    /// profiles, and may change the log level.
    pub addr: SocketAddr,
    /// Whether figures are taken every second for the charts. Default: true.
    pub charts: bool,
    /// The names by which the port may be called, beside `localhost` and IP addresses: `details.internal`, without a port.
    /// Default: none. A page of the internet that lets its own name lead here is refused, since it knows none of these.
    pub hosts: Vec<String>,
}

impl Default for DebugConfig {
    fn default() -> Self {
        Self { enabled: true, addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 5003)), charts: true, hosts: Vec::new() }
    }
}

impl DebugConfig {
    /// Refuses names that no request could have.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` that names the setting.
    pub fn validate(&self) -> Result<(), Error> {
        self.check().map_err(|(key, message)| Error::invalid_argument(format!("debug.{key} {message}")))
    }

    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        let is_name = |host: &str| {
            let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
            !host.is_empty() && host.bytes().all(known)
        };
        match self.hosts.iter().find(|host| !is_name(host)) {
            Some(host) => Err(("hosts", format!("has {host:?}: give names alone, such as details.internal"))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_reaches_the_port_by_default() {
        let config = DebugConfig::default();
        assert!(config.addr.ip().is_loopback());
        config.validate().unwrap();
    }

    #[test]
    fn a_name_that_no_request_has_is_refused() {
        for host in ["", "http://details", "details:5003", "a b", "a/b", "*.internal"] {
            let config =
                DebugConfig { hosts: vec!["fine.internal".to_owned(), host.to_owned()], ..DebugConfig::default() };
            let message = config.validate().unwrap_err().message().to_owned();
            assert!(message.starts_with("debug.hosts has ") && message.contains(&format!("{host:?}")), "{message}");
        }
        serde_json::from_str::<DebugConfig>(r#"{"host":["a"]}"#).unwrap_err();
        serde_json::from_str::<DebugConfig>(r#"{"addr":"somewhere"}"#).unwrap_err();
    }
}
