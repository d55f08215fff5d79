use serde::{Deserialize, Serialize};

use super::{Network, Propagation, Sample};
use crate::validate::{Validate, Violations};

/// The settings of tracing. Where spans go to is not among them: that is the exporter's.
///
/// ```
/// use kit::trace::{Propagation, Sample, TraceConfig};
///
/// let config: TraceConfig = serde_json::from_str(r#"{ "sample": "5%", "propagation": "w3c" }"#)?;
/// assert_eq!((config.sample, config.propagation), (Sample::Probability(0.05), Propagation::W3c));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TraceConfig {
    /// Which traces that begin here are recorded: `always`, `never`, a share as `10%`, a rate as `10/s`. Default: `10/s`.
    /// What a caller that is trusted decided holds for its trace.
    pub sample: Sample,
    /// How calls that leave carry their trace: `b3`, `b3-single` or `w3c`. Default: `b3`. All are read.
    pub propagation: Propagation,
    /// Whose wish that a trace is recorded is obeyed. Anyone else can only wish that it is not. Default: this machine.
    pub trusted_networks: Vec<Network>,
    /// Whether callers that showed a certificate, which TLS has checked then, are trusted like those of the networks.
    /// Default: false.
    pub trust_certificates: bool,
    /// The most annotations of one span; what comes beyond is counted in its tag `dropped`. Default: 128, the limit of
    /// OpenTelemetry's specification.
    pub max_annotations: usize,
    /// The most tags of one span; those of the kit itself come beyond that if they must. Default: 128, the limit of OpenTelemetry's specification.
    pub max_tags: usize,
}

/// OpenTelemetry's default for events and for attributes of a span.
const LIMIT: usize = 128;

impl Default for TraceConfig {
    fn default() -> Self {
        let loopback = ["127.0.0.0/8", "::1/128"];
        Self {
            sample: Sample::default(),
            propagation: Propagation::default(),
            trusted_networks: loopback.iter().filter_map(|network| network.parse().ok()).collect(),
            trust_certificates: false,
            max_annotations: LIMIT,
            max_tags: LIMIT,
        }
    }
}

impl Validate for TraceConfig {
    /// Its types let nothing wrong in.
    fn validate(&self, _: &mut Violations) {}
}
