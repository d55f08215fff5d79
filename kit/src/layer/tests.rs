//! What all layers have in common.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use super::{
    adaptive::{
        Adaptive, AdaptiveConfig, AdaptiveLayer,
        bbr::{Bbr, BbrConfig, BbrLayer},
    },
    breaker::{Breaker, BreakerConfig, BreakerLayer},
    change::merged,
    concurrency::{Concurrency, ConcurrencyConfig, ConcurrencyLayer},
    hedge::{Hedge, HedgeConfig, HedgeLayer},
    rate_limit::{RateLimit, RateLimitConfig, RateLimitLayer, RateLimits},
    retry::{Retry, RetryConfig, RetryLayer},
    throttle::{Throttle, ThrottleConfig, ThrottleLayer},
};
use crate::{Endpoint, Method, MethodInfo, MethodKind, Middleware, Request, validate::Validate};

fn method() -> Method {
    Method::from(MethodInfo::new("demo.Demo", "Say", MethodKind::Unary))
}

/// Whatever is written, a negative time or number or one without a unit is no setting.
#[test]
fn times_and_numbers_that_can_not_be_are_not_read() {
    fn refused<C: Default + Serialize + DeserializeOwned + Validate>(section: &str, times: &[&str], numbers: &[&str]) {
        let config = C::default();
        config.check(section).unwrap();
        let written = serde_json::to_value(&config).unwrap();
        serde_json::from_value::<C>(written.clone()).unwrap().check(section).unwrap();
        let wrong = |key: &str, value: serde_json::Value| {
            let change = key.split('.').rev().fold(value, |value, name| json!({ name: value }));
            let error = merged(section, &config, &change).and_then(|config| config.check(section)).unwrap_err();
            assert!(error.message().starts_with(&format!("{section}.{key}")), "{change}: {error}");
        };
        for key in times {
            for time in [json!("-1s"), json!("5"), json!(5), json!("1e99s"), json!("soon")] {
                wrong(key, time);
            }
        }
        for key in numbers {
            for number in [json!(-1), json!("many"), json!(-1e300)] {
                wrong(key, number);
            }
        }
        wrong("no_such_setting", json!(1));
        wrong("no_such_setting", json!(null));
    }
    refused::<BreakerConfig>(
        "breaker",
        &["slow_call", "open_for", "open_max"],
        &[
            "window",
            "buckets",
            "min_calls",
            "failure_ratio",
            "slow_ratio",
            "max_in_flight",
            "growth",
            "jitter",
            "probes",
        ],
    );
    refused::<ThrottleConfig>("throttle", &["window"], &["k", "max_probability", "buckets"]);
    refused::<RateLimitConfig>(
        "rate_limit",
        &["per", "shared.timeout", "shared.rest"],
        &["limit", "burst", "max_keys"],
    );
    refused::<RetryConfig>(
        "retry",
        &["backoff.base", "backoff.max", "attempt_timeout", "max_delay"],
        &["max_attempts", "backoff.multiplier", "max_replay", "budget.ratio", "budget.per_second", "budget.burst"],
    );
    refused::<HedgeConfig>(
        "hedge",
        &["delay", "min_delay"],
        &["quantile", "min_samples", "max_attempts", "max_replay"],
    );
    refused::<ConcurrencyConfig>(
        "concurrency",
        &["queue_timeout", "retry_after"],
        &["max", "queue", "priority.normal_share", "priority.sheddable_share"],
    );
    refused::<AdaptiveConfig>(
        "adaptive",
        &["window", "probe", "queue_timeout", "retry_after", "slow"],
        &["min", "max", "initial", "min_samples", "queue", "tolerance", "smoothing", "long_window", "backoff"],
    );
    refused::<BbrConfig>(
        "bbr",
        &["window", "interval", "cool_down", "retry_after"],
        &["cpu_threshold", "buckets", "decay", "critical_headroom", "priority.normal_share"],
    );
}

/// The same way to all handles: made and changed by settings, put around an endpoint, shown and changed by the debug port.
#[tokio::test(start_paused = true)]
async fn all_handles_are_used_in_the_same_way() {
    async fn goes<M: Middleware>(name: &str, handle: M, changed: impl Fn() -> serde_json::Value) {
        let say = Endpoint::from_fn(method(), |_, text: String| async move { Ok(text) }).with(&handle);
        let answer = say.call(Request::new(crate::Context::background(), "a".to_owned())).await.unwrap();
        assert_eq!((answer.message().as_str(), say.layers().len()), ("a", 1));
        let info = &say.layers()[0];
        assert_eq!(info.name(), name);
        assert!(info.state().unwrap().is_object());
        let error = info.change(&json!({ "nonsense": 1 })).unwrap_err();
        assert!(error.message().starts_with(&format!("{name}.nonsense: unknown field `nonsense`")), "{error}");
        let before = info.settings();
        info.change(&json!({})).unwrap();
        assert_eq!(info.settings(), before);
        assert_eq!(info.settings(), changed(), "{name}: what was changed by the program is shown");
    }
    macro_rules! handle {
        ($name:literal, $handle:ident, $config:expr) => {{
            let handle = $handle::new(&Default::default()).unwrap();
            let config = $config;
            handle.clone().reconfigure(&config).unwrap();
            assert_eq!(handle.config(), config);
            assert!(!format!("{handle:?}").is_empty());
            let shown = handle.clone();
            goes($name, handle, move || json!(shown.config())).await;
        }};
    }
    let ms = std::time::Duration::from_millis;
    handle!("breaker", Breaker, BreakerConfig { min_calls: 3, ..Default::default() });
    handle!("throttle", Throttle, ThrottleConfig { k: 3.0, ..Default::default() });
    handle!("rate_limit", RateLimit, RateLimitConfig::of(3, ms(1_000)).with_burst(3));
    handle!("rate_limit", RateLimits, RateLimitConfig::of(3, ms(1_000)).with_burst(3));
    handle!("retry", Retry, RetryConfig { max_attempts: 2, ..Default::default() });
    handle!("hedge", Hedge, HedgeConfig { delay: Some(ms(5)), ..Default::default() });
    handle!("concurrency", Concurrency, ConcurrencyConfig { max: 3, ..Default::default() });
    handle!("adaptive", Adaptive, AdaptiveConfig { min: 3, ..Default::default() });
    handle!("bbr", Bbr, BbrConfig { cpu_threshold: 1.0, ..Default::default() });
    let infos = [
        BreakerLayer::none().info(),
        ThrottleLayer::none().info(),
        RateLimitLayer::none().info(),
        RetryLayer::none().info(),
        HedgeLayer::none().info(),
        ConcurrencyLayer::none().info(),
        AdaptiveLayer::none().info(),
        BbrLayer::none().info(),
    ];
    assert!(infos.iter().all(Option::is_none));
}

/// Timers need a runtime; a call that waits for nothing does not.
#[test]
fn calls_that_wait_for_nothing_need_no_runtime() {
    use futures_util::FutureExt as _;

    fn goes(handle: &impl Middleware) {
        let say = Endpoint::from_fn(method(), |_, text: String| async move { Ok(text) }).with(handle);
        let answer = say.call(Request::new(crate::Context::background(), "a".to_owned())).now_or_never().unwrap();
        assert_eq!(answer.unwrap().message(), "a");
    }
    goes(&Breaker::new(&BreakerConfig::default()).unwrap());
    goes(&Throttle::new(&ThrottleConfig::default()).unwrap());
    goes(&RateLimits::new(&RateLimitConfig::default()).unwrap());
    goes(&Retry::new(&RetryConfig::default()).unwrap());
    goes(&Hedge::new(&HedgeConfig::default()).unwrap());
    goes(&Concurrency::new(&ConcurrencyConfig::default()).unwrap());
    goes(&Adaptive::new(&AdaptiveConfig::default()).unwrap());
    goes(&Bbr::new(&BbrConfig::default()).unwrap());
}
