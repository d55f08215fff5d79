//! A Redis for tests, with keys of their own.
//!
//! The server is used where it answers; with `KIT_TEST_SERVICES=required` its absence is a failure instead of a skipped
//! test. `KIT_TEST_REDIS_URL` names another than `redis://127.0.0.1:6379`.
//!
//! For tests only: what goes wrong here panics.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let Some(config) = kit::cache::testing::redis().await else { return };
//! assert!(config.url.starts_with("redis://") && config.prefix.starts_with("kit_test_"));
//! # }
//! ```

#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::missing_panics_doc, reason = "a skipped test is told")]

use std::{
    env,
    fmt::Display,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{Cache as _, CacheConfig};

/// A busy machine takes longer than a data centre does.
const PATIENCE: Duration = Duration::from_secs(10);

/// Settings for the Redis of this machine with a prefix that no other test has. `None`, and a word about it, where there is no
/// server.
pub async fn redis() -> Option<CacheConfig> {
    let config = at(env::var("KIT_TEST_REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1:6379".to_owned()));
    let asked = match config.open() {
        Ok(store) => store.contains("a").await,
        Err(error) => Err(error),
    };
    asked.map_err(|error| missing("Redis", &error)).ok().map(|_| config)
}

/// Settings for a Redis somewhere, with a prefix that no other test has and the patience of a test.
pub fn at(url: impl Into<String>) -> CacheConfig {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    let prefix = format!("kit_test_{}_{since}_{count}:", std::process::id());
    CacheConfig { url: url.into(), prefix, timeout: PATIENCE, ..CacheConfig::default() }
}

/// Says that a test is skipped because something is not there, or fails it where that is required.
pub fn missing(what: &str, error: &dyn Display) {
    let required = env::var("KIT_TEST_SERVICES").is_ok_and(|value| value == "required");
    assert!(!required, "{what} is required and not there: {error}");
    eprintln!("skipped: {what} is not there: {error}");
}
