//! Tower layers for endpoints: one folder a concern, each with its configuration beside it.

pub mod access_log;
pub mod recover;
pub mod timeout;
