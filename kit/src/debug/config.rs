use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::validate::{Validate, Violations};

/// The settings of the debug port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DebugConfig {
    /// Whether there is a debug port. Read by [`Server::debug`](crate::server::Server::debug), which leaves the port away
    /// otherwise; [`Debug::start`](super::Debug::start) does not read it. Default: true.
    pub enabled: bool,
    /// Where it listens; for [`Server::debug`](crate::server::Server::debug) too. Default: 127.0.0.1:5003, which only this
    /// machine reaches: whoever reaches the port sees settings and profiles, and may change the log level.
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

/// Refuses names that no request could have.
impl Validate for DebugConfig {
    fn validate(&self, report: &mut Violations) {
        let is_name = |host: &str| {
            let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
            !host.is_empty() && host.bytes().all(known)
        };
        if let Some(host) = self.hosts.iter().find(|host| !is_name(host)) {
            report.add("hosts", format!("has {host:?}: give names alone, such as details.internal"));
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
        config.check("debug").unwrap();
    }

    #[test]
    fn a_name_that_no_request_has_is_refused() {
        for host in ["", "http://details", "details:5003", "a b", "a/b", "*.internal"] {
            let config =
                DebugConfig { hosts: vec!["fine.internal".to_owned(), host.to_owned()], ..DebugConfig::default() };
            let message = config.check("debug").unwrap_err().message().to_owned();
            assert!(message.starts_with("debug.hosts has ") && message.contains(&format!("{host:?}")), "{message}");
        }
        serde_json::from_str::<DebugConfig>(r#"{"host":["a"]}"#).unwrap_err();
        serde_json::from_str::<DebugConfig>(r#"{"addr":"somewhere"}"#).unwrap_err();
    }
}
