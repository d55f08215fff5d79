//! Figures of the last fifteen minutes, one a second, in memory of a fixed size.

mod data;
mod figures;
mod gauges;
mod history;
mod ring;
mod sampler;

pub(super) use data::{About, write};
#[cfg(test)]
pub(super) use figures::MethodSample;
pub(super) use figures::{FiguresSource, FromMetrics};
pub(super) use gauges::Gauges;
pub use history::Unit;
pub(super) use history::{History, MAX_BYTES};
pub(super) use ring::POINTS;
pub(super) use sampler::Sampler;
