use serde::{Deserialize, Serialize};

use super::buckets::MAX_SCHEMA;
use crate::validate::{Validate, Violations};

/// Seconds. From 5 ms to 10 s they are the defaults of the Prometheus client libraries (`DefBuckets` of client_golang); three
/// more go on downwards in the same steps, because a call inside a data centre is often over within a millisecond.
const DURATIONS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Bytes, in the steps that gRPC proposes for message sizes (proposal A66: 1 KiB to 64 MiB by fours), two of them further
/// down, where most requests are.
const SIZES: [f64; 11] =
    [64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0, 67_108_864.0];

/// Each bucket is one more series for every method, code and transport.
const MAX_BUCKETS: usize = 50;

/// The settings of the metrics of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsConfig {
    /// The upper bounds of the buckets of call durations, in seconds, ascending; at most 50. Default: 0.5 ms to 10 s, the
    /// defaults of the Prometheus client libraries and three more below.
    pub buckets: Vec<f64>,
    /// The upper bounds of the buckets of message sizes, in bytes, ascending; at most 50. Default: 64 B to 64 MiB, by fours.
    pub size_buckets: Vec<f64>,
    /// Whether a Prometheus that asks for protobuf gets native histograms beside the buckets above. Default: true; it asks
    /// for protobuf when its native histograms are switched on.
    pub native_histograms: bool,
    /// How fine native histograms are, 0 to 3: each power of two is parted in 1, 2, 4 or 8 buckets. Default: 3, a bucket is
    /// 9 % wide, as client_golang proposes with a factor of 1.1.
    pub native_schema: u8,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self {
            buckets: DURATIONS.to_vec(),
            size_buckets: SIZES.to_vec(),
            native_histograms: true,
            native_schema: MAX_SCHEMA,
        }
    }
}

/// Refuses settings that no histogram can have.
impl Validate for MetricsConfig {
    fn validate(&self, report: &mut Violations) {
        for (key, bounds) in [("buckets", &self.buckets), ("size_buckets", &self.size_buckets)] {
            if let Err(message) = check_bounds(bounds) {
                report.add(key, message);
            }
        }
        if self.native_schema > MAX_SCHEMA {
            report.add("native_schema", format!("is {}: use 0 to {MAX_SCHEMA}", self.native_schema));
        }
    }
}

impl MetricsConfig {
    pub(super) fn schema(&self) -> Option<u8> {
        self.native_histograms.then_some(self.native_schema)
    }
}

fn check_bounds(bounds: &[f64]) -> Result<(), String> {
    if bounds.is_empty() {
        return Err("is empty: name at least one upper bound".to_owned());
    }
    if bounds.len() > MAX_BUCKETS {
        return Err(format!("has {} bounds: {MAX_BUCKETS} are enough", bounds.len()));
    }
    if let Some(bound) = bounds.iter().find(|bound| !bound.is_finite() || **bound <= 0.0) {
        return Err(format!(
            "has the bound {bound}: bounds are above zero and finite, that of infinity is always there"
        ));
    }
    if let Some((before, after)) = bounds.iter().zip(bounds.iter().skip(1)).find(|(before, after)| before >= after) {
        return Err(format!("has {after} after {before}: bounds ascend"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        MetricsConfig::default().check("metrics").unwrap();
    }

    #[test]
    fn buckets_that_make_no_histogram_are_refused_by_name() {
        let wrong: [(Vec<f64>, &str); 8] = [
            (vec![], "is empty"),
            (vec![0.0], "0"),
            (vec![-1.0, 1.0], "-1"),
            (vec![1.0, f64::INFINITY], "inf"),
            (vec![f64::NAN], "NaN"),
            (vec![1.0, 0.5], "0.5 after 1"),
            (vec![1.0, 1.0], "1 after 1"),
            ((1..=51).map(f64::from).collect(), "51 bounds"),
        ];
        for (buckets, says) in wrong {
            let config = MetricsConfig { buckets: buckets.clone(), ..MetricsConfig::default() };
            let message = config.check("metrics").unwrap_err().message().to_owned();
            assert!(message.starts_with("metrics.buckets ") && message.contains(says), "{message}");
            let config = MetricsConfig { size_buckets: buckets, ..MetricsConfig::default() };
            let message = config.check("metrics").unwrap_err().message().to_owned();
            assert!(message.starts_with("metrics.size_buckets ") && message.contains(says), "{message}");
        }
        let config = MetricsConfig { native_schema: 4, ..MetricsConfig::default() };
        assert!(config.check("metrics").unwrap_err().message().contains("native_schema is 4"));
    }

    #[test]
    fn settings_are_read_and_unknown_ones_refused() {
        let config: MetricsConfig = serde_json::from_str(r#"{"buckets":[0.1,1],"native_histograms":false}"#).unwrap();
        assert_eq!((config.buckets.len(), config.schema()), (2, None));
        serde_json::from_str::<MetricsConfig>(r#"{"bucket":[0.1]}"#).unwrap_err();
        serde_json::from_str::<MetricsConfig>(r#"{"native_schema":-1}"#).unwrap_err();
    }
}
