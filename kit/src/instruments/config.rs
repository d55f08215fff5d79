use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::{
    debug::DebugConfig,
    telemetry::{
        metrics::MetricsConfig,
        report::ReportConfig,
        reporter::{Destination, ReporterConfig},
    },
    trace::TraceConfig,
    validate::{Validate, Violations},
};

/// The port after that of the debug pages: [`DebugConfig`] has 5003 by default.
const METRICS_PORT: u16 = 5004;

/// What a service is watched by; by convention the section `telemetry`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InstrumentsConfig {
    /// Where Prometheus reads the figures, at `/metrics`; `null` for nowhere. Default: 127.0.0.1:5004, the port after that of
    /// the debug pages, which only this machine reaches.
    pub metrics_addr: Option<SocketAddr>,
    /// The figures. Default: that of [`MetricsConfig`].
    pub metrics: MetricsConfig,
    /// Which calls have spans that are recorded, and how a trace travels. Default: that of [`TraceConfig`].
    pub trace: TraceConfig,
    /// Where spans are sent to. Default: Zipkin on this machine, at its usual port: nobody waits for it, and a service without
    /// it says so once in its log. OTLP needs the feature `otlp`.
    pub spans: ReporterConfig,
    /// Who is told of failures. Default: the log, which every service has.
    pub reports: ReportConfig,
    /// The debug port. Default: that of [`DebugConfig`], 127.0.0.1:5003.
    pub debug: DebugConfig,
}

impl InstrumentsConfig {
    /// The defaults with other ports, on the loopback: for services that share a machine.
    ///
    /// ```
    /// use kit::instruments::InstrumentsConfig;
    ///
    /// let config = InstrumentsConfig::new(6003, 6004);
    /// assert_eq!(config.debug.addr, "127.0.0.1:6003".parse()?);
    /// assert_eq!(config.metrics_addr, Some("127.0.0.1:6004".parse()?));
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn new(debug: u16, metrics: u16) -> Self {
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            metrics_addr: Some(at(metrics)),
            debug: DebugConfig { addr: at(debug), ..DebugConfig::default() },
            ..Self::default()
        }
    }

    /// Both ports on one address; so its port is best 0, which takes a free one for each: for tests.
    pub fn listen_on(&mut self, addr: SocketAddr) {
        (self.metrics_addr, self.debug.addr) = (Some(addr), addr);
    }

    /// Neither ports nor reports, and spans go nowhere: for tests of a service that is called without a server.
    pub fn silent() -> Self {
        Self {
            metrics_addr: None,
            spans: ReporterConfig::default(),
            reports: ReportConfig::default(),
            debug: DebugConfig { enabled: false, ..DebugConfig::default() },
            ..Self::default()
        }
    }
}

impl Validate for InstrumentsConfig {
    fn validate(&self, report: &mut Violations) {
        report.section("metrics", &self.metrics);
        report.section("trace", &self.trace);
        report.section("spans", &self.spans);
        report.section("reports", &self.reports);
        report.section("debug", &self.debug);
    }
}

impl Default for InstrumentsConfig {
    fn default() -> Self {
        Self {
            metrics_addr: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, METRICS_PORT))),
            metrics: MetricsConfig::default(),
            trace: TraceConfig::default(),
            spans: ReporterConfig::new(Destination::Zipkin, ""),
            reports: ReportConfig { log: true, ..ReportConfig::default() },
            debug: DebugConfig::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_can_be_used_and_only_this_machine_reaches_the_ports() {
        let config = InstrumentsConfig::default();
        config.check("").unwrap();
        let metrics = config.metrics_addr.unwrap();
        assert!(metrics.ip().is_loopback() && config.debug.addr.ip().is_loopback());
        assert_ne!(metrics, config.debug.addr);
        assert_eq!(InstrumentsConfig::new(config.debug.addr.port(), metrics.port()), config);
        InstrumentsConfig::silent().check("").unwrap();
    }

    #[test]
    fn what_is_wrong_is_named_with_its_section() {
        let wrong = |change: fn(&mut InstrumentsConfig)| {
            let mut config = InstrumentsConfig::default();
            change(&mut config);
            config.check("").unwrap_err().message().to_owned()
        };
        for (message, key) in [
            (wrong(|config| config.metrics.buckets.clear()), "metrics.buckets is empty"),
            (wrong(|config| config.spans.url = "zipkin".to_owned()), "spans.url (not a URL)"),
            (wrong(|config| config.reports.queue = 0), "reports.queue must be"),
            (wrong(|config| config.debug.hosts.push("a b".to_owned())), "debug.hosts has \"a b\""),
        ] {
            assert!(message.starts_with(key), "{message}");
        }
    }

    #[cfg(feature = "config")]
    #[test]
    fn one_key_of_a_section_leaves_the_others_at_the_defaults_of_a_service() {
        use crate::config::{Loaded, Loader};

        let loaded: Loaded<InstrumentsConfig> = Loader::new("SHOP")
            .text("shop.yaml", "spans: {queue: 5}\ndebug: {charts: false}")
            .load_validated()
            .unwrap();
        assert_eq!((loaded.config.spans.to, loaded.config.spans.queue), (Destination::Zipkin, 5));
        assert_eq!(loaded.config.debug.addr.port(), 5003);
        let env = [("SHOP_SPANS_URL", "zipkin"), ("SHOP_DEBUG_HOSTS", "[a b]")];
        let error = Loader::new("SHOP").env(env).load_validated::<InstrumentsConfig>().unwrap_err().to_string();
        assert!(error.contains("SHOP_SPANS_URL") && error.contains("SHOP_DEBUG_HOSTS"), "{error}");
    }
}
