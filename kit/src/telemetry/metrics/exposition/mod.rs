//! What a scraper reads.

use std::collections::BTreeMap;

use prometheus_client::{
    encoding::prometheus_protobuf::{self, prometheus_data_model::MetricFamily},
    registry::Registry,
};
use prost::Message as _;

use super::name;
use crate::Error;

mod accept;
#[cfg(feature = "server")]
mod body;
#[cfg(feature = "server")]
mod routes;
mod text;

#[cfg(feature = "server")]
pub(super) use body::Scrapes;
#[cfg(feature = "server")]
pub(super) use routes::routes;

/// A format in which figures are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// The text format of Prometheus, version 0.0.4: read by everything.
    Text,
    /// OpenMetrics 1.0.0: with units and exemplars.
    OpenMetrics,
    /// The protobuf format of Prometheus, each family behind its length: the one with native histograms.
    Protobuf,
}

impl Format {
    /// The value of the header `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }

    /// The format that the value of an `Accept` header asks for most. [`Format::Text`] when it asks for none of them:
    /// scrapers that know nothing else send anything.
    pub fn negotiate(accept: &str) -> Self {
        accept::format(accept)
    }
}

/// Writes all families of some registries.
pub(super) fn encode<'a>(
    registries: impl IntoIterator<Item = &'a dyn Encode>,
    format: Format,
) -> Result<Vec<u8>, Error> {
    let mut families = BTreeMap::new();
    for registry in registries {
        for family in registry.families()? {
            add(&mut families, family);
        }
    }
    match format {
        Format::Text | Format::OpenMetrics => Ok(text::write(families.values(), format).into_bytes()),
        Format::Protobuf => {
            let mut bytes = Vec::new();
            for family in families.values() {
                family.encode_length_delimited(&mut bytes).map_err(failed)?;
            }
            Ok(bytes)
        }
    }
}

/// What has families, locked or not.
pub(super) trait Encode {
    fn families(&self) -> Result<Vec<MetricFamily>, Error>;
}

impl Encode for Registry {
    fn families(&self) -> Result<Vec<MetricFamily>, Error> {
        prometheus_protobuf::encode(self).map_err(failed)
    }
}

impl Encode for std::sync::Mutex<Registry> {
    fn families(&self) -> Result<Vec<MetricFamily>, Error> {
        self.lock().unwrap_or_else(std::sync::PoisonError::into_inner).families()
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::internal("the metrics can't be written").with_source(error)
}

/// A scraper refuses all for one family that it can't read, or that is there twice: what is registered by several parts under
/// one name becomes one family, and what has no readable name or another type than its namesake is left out.
fn add(families: &mut BTreeMap<String, MetricFamily>, family: MetricFamily) {
    let labels = || family.metric.iter().flat_map(|metric| &metric.label);
    if !name::is_metric(&family.name) || !labels().all(|label| name::is_label(&label.name)) {
        tracing::warn!(name = family.name, "a metric is left out: Prometheus can't read its name or that of a label");
        return;
    }
    match families.get_mut(&family.name) {
        None => {
            families.insert(family.name.clone(), family);
        }
        Some(first) if first.r#type == family.r#type => first.metric.extend(family.metric),
        Some(_) => tracing::warn!(name = family.name, "a metric is left out: there is one of another type by its name"),
    }
}
