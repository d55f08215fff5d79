//! In the place of `shared.rs` where the feature `redis` is not built in: nothing of it can be made.

use std::sync::Arc;

use serde_json::Value;

use super::{
    config::SharedConfig,
    figures::Figures,
    gcra::{Rate, Verdict},
    key::Key,
};

/// What is wrong with the URL.
pub(super) fn check_url(config: &SharedConfig) -> Result<(), String> {
    Store::open(config).map(drop)
}

pub(super) enum Store {}

impl Store {
    pub(super) fn open(_: &SharedConfig) -> Result<Self, String> {
        Err("names a Redis: build kit with the feature redis".to_owned())
    }

    pub(super) fn config(&self) -> &SharedConfig {
        match *self {}
    }

    pub(super) fn state(&self) -> Value {
        match *self {}
    }

    pub(super) fn name(&self, _: &str, _: Option<Key<'_>>) -> String {
        match *self {}
    }

    pub(super) async fn take(self: &Arc<Self>, _: String, _: Rate, _: &Figures) -> Option<Verdict> {
        match **self {}
    }
}
