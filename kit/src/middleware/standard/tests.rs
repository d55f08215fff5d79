use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::{
    Code, Context, Method, MethodInfo, MethodKind, ServiceInfo,
    layer::breaker::{BreakerConfig, BreakerWindow},
    validate::{Validate as _, Violations},
};

fn server(config: Value) -> ServerStackConfig {
    serde_json::from_value(config).unwrap()
}

fn client(config: Value) -> ClientStackConfig {
    serde_json::from_value(config).unwrap()
}

fn violations(config: &impl crate::validate::Validate) -> Vec<String> {
    let mut report = Violations::default();
    config.validate(&mut report);
    report.iter().map(|(key, message)| format!("{key} {message}")).collect()
}

fn method(name: &'static str) -> Method {
    Method::from(MethodInfo::new("demo.Demo", name, MethodKind::Unary))
}

fn echo(name: &'static str, stack: &StandardStack) -> Endpoint<String, String> {
    Endpoint::from_fn(method(name), |_, text: String| async move { Ok(text) }).with(stack)
}

async fn call(endpoint: &Endpoint<String, String>) -> Result<String, Error> {
    endpoint.call_next(&Context::background(), "hello".to_owned()).await
}

fn names(endpoint: &Endpoint<String, String>) -> Vec<String> {
    endpoint.layers().iter().map(|layer| layer.name().to_owned()).collect()
}

fn layer<'a>(endpoint: &'a Endpoint<String, String>, name: &str) -> &'a LayerInfo {
    endpoint.layers().iter().find(|layer| layer.name() == name).unwrap()
}

#[test]
fn the_defaults_hold_and_are_written_as_they_are_read() {
    assert!(violations(&ServerStackConfig::default()).is_empty());
    assert!(violations(&ClientStackConfig::default()).is_empty());
    for config in [ServerStackConfig::default(), server(json!({ "bbr": "none", "breaker": {}, "rate_limit": {} }))] {
        assert_eq!(server(json!(config)), config);
    }
    let config = ClientStackConfig::default().with_method("Say", json!({ "retry": "none" }));
    assert_eq!(client(json!(config)), config);
}

#[test]
fn without_configuration_a_service_is_protected_and_a_client_tries_again() {
    let say = echo("Say", &StandardStack::default());
    assert_eq!(names(&say), ["access_log", "recover", "timeout", "bbr"]);
    let stack = StandardStack::client(&ClientStackConfig::default(), Transport::Local).unwrap();
    assert_eq!(names(&echo("Say", &stack)), ["timeout", "retry", "throttle", "breaker"]);
}

#[test]
fn all_layers_stand_in_the_order_of_the_documentation() {
    let config = server(json!({ "rate_limit": {}, "concurrency": {}, "breaker": {} }));
    let say = echo("Say", &StandardStack::server(&config).unwrap());
    let order = ["access_log", "recover", "timeout", "bbr", "rate_limit", "concurrency", "breaker"];
    assert_eq!(names(&say), order);
    let config = client(json!({ "hedge": {}, "adaptive": {} }));
    let say = echo("Say", &StandardStack::client(&config, Transport::Grpc).unwrap());
    assert_eq!(names(&say), ["timeout", "retry", "hedge", "throttle", "breaker", "adaptive"]);
}

#[test]
fn what_contradicts_itself_is_named() {
    for (config, expected) in [
        (json!({ "rate_limit": { "limit": 0 } }), "rate_limit.limit is 0"),
        (json!({ "concurrency": {}, "adaptive": {} }), "adaptive is there beside concurrency"),
        (json!({ "methods": { "Say": { "breaker": { "min_calls": 0 } } } }), "methods.Say.breaker.min_calls is 0"),
        (json!({ "methods": { "Say": { "bbr": {} } } }), "methods.Say.bbr is of all methods together"),
        (json!({ "methods": { "Say": { "beraker": {} } } }), "methods.Say unknown field `beraker`"),
        (json!({ "methods": { "Say": { "methods": {} } } }), "methods.Say must be sections"),
        (json!({ "methods": { "Say": "2s" } }), "methods.Say must be sections"),
        (json!({ "methods": { "Say": { "timeout": "2 apples" } } }), "methods.Say "),
        (json!({ "methods": { "Say": { "fault": {} } } }), "methods.Say.fault is of all methods together"),
    ] {
        let found = violations(&server(config.clone()));
        assert!(found.len() == 1 && found[0].starts_with(expected), "{config}: {found:?}");
        let error = StandardStack::server(&server(config)).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
        assert!(error.message().starts_with(expected), "{error}");
    }
    let found = violations(&client(json!({ "methods": { "Say": { "throttle": {} } } })));
    assert_eq!(found, ["methods.Say.throttle is of all methods together: no method can have its own"]);
    let own = json!({ "methods": { "Say": { "retry": { "budget": { "ratio": 0.1 } } } } });
    assert!(violations(&client(own))[0].starts_with("methods.Say.retry.budget is of all methods together"));
    let unused = json!({ "hedge": { "budget": { "ratio": 0.1 } } });
    assert!(violations(&client(unused))[0].starts_with("hedge.budget is not used"));
}

#[test]
fn misspelt_methods_are_named_with_those_that_are_there() {
    let service = ServiceInfo {
        name: "demo.Demo",
        methods: Box::leak(Box::new([method("Say"), method("Watch")])),
        descriptors: b"",
        openapi: "",
        register: |registry| registry,
        kit_version: "",
    };
    let config = ServerStackConfig::default()
        .with_method("Say", json!({}))
        .with_method("demo.Demo/Watch", json!({}))
        .with_method("Sya", json!({}));
    let mut report = Violations::default();
    config.of(&[&service]).validate(&mut report);
    assert_eq!(report.iter().collect::<Vec<_>>(), [("methods.Sya", "is no method; there are: Say, Watch")]);
}

#[tokio::test(start_paused = true)]
async fn a_method_has_its_own_settings_and_its_own_limit() {
    let config = server(json!({
        "rate_limit": { "limit": 1, "per": "1m" },
        "methods": {
            "Say": { "rate_limit": { "limit": 2 } },
            "demo.Demo/Free": { "rate_limit": "none", "timeout": "1s" },
            "Free": { "rate_limit": { "limit": 1 } },
        },
    }));
    let stack = StandardStack::server(&config).unwrap();
    for (name, calls) in [("Other", 1), ("Say", 2), ("Free", 10)] {
        let endpoint = echo(name, &stack);
        for _ in 0..calls {
            call(&endpoint).await.unwrap();
        }
        if name == "Free" {
            assert_eq!(layer(&endpoint, "timeout").settings()["timeout"], "1s");
            continue;
        }
        let refused = call(&endpoint).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (Code::ResourceExhausted, "rate limit exceeded"), "{name}");
        assert_eq!(layer(&endpoint, "rate_limit").settings()["per"], "1m", "what is not said is as it is for all");
    }
}

#[tokio::test(start_paused = true)]
async fn settings_change_while_calls_run() {
    let config =
        server(json!({ "rate_limit": { "limit": 1, "per": "1m" }, "methods": { "Slow": { "timeout": "5m" } } }));
    let stack = StandardStack::server(&config).unwrap();
    let (say, slow) = (echo("Say", &stack), echo("Slow", &stack.clone()));
    call(&say).await.unwrap();
    call(&say).await.unwrap_err();
    let more = server(json!({
        "timeout": "3s",
        "rate_limit": { "limit": 600, "per": "1m" },
        "methods": { "Slow": { "timeout": "6m" } },
    }));
    stack.reconfigure(&more).unwrap();
    tokio::time::advance(Duration::from_millis(200)).await;
    call(&say).await.unwrap();
    assert_eq!(layer(&say, "timeout").settings()["timeout"], "3s");
    assert_eq!(layer(&slow, "timeout").settings()["timeout"], "6m");
    assert_eq!(layer(&slow, "rate_limit").settings()["limit"], 600);
}

#[tokio::test(start_paused = true)]
async fn settings_that_can_not_be_taken_over_change_nothing() {
    let config = server(json!({ "rate_limit": {}, "concurrency": {}, "methods": { "Say": { "timeout": "7s" } } }));
    let stack = StandardStack::server(&config).unwrap();
    let say = echo("Say", &stack);
    let same = |changes: Value| {
        let mut whole = json!(config);
        for (key, value) in changes.as_object().unwrap() {
            whole[key] = value.clone();
        }
        server(whole)
    };
    for (changes, code, why) in [
        (json!({ "timeout": "1s", "rate_limit": { "limit": 0 } }), Code::InvalidArgument, "rate_limit.limit is 0"),
        (json!({ "timeout": "1s", "breaker": {} }), Code::FailedPrecondition, "breaker of Say can't be added"),
        (
            json!({ "timeout": "1s", "rate_limit": "none" }),
            Code::FailedPrecondition,
            "rate_limit of Say can't be left out",
        ),
        (
            json!({ "methods": { "Say": { "concurrency": { "max": 2 } } } }),
            Code::FailedPrecondition,
            "concurrency of Say can't be parted",
        ),
    ] {
        let error = stack.reconfigure(&same(changes)).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.message().starts_with(why), "{error}");
        assert_eq!(layer(&say, "timeout").settings()["timeout"], "7s");
    }
    let error = stack.reconfigure_client(&ClientStackConfig::default()).unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_of_a_service_does_not_count_deadlines_that_callers_chose() {
    let breaker = BreakerConfig { window: BreakerWindow::Calls(10), min_calls: 2, ..BreakerConfig::default() };
    let config = ServerStackConfig { breaker: Some(breaker), ..ServerStackConfig::default() };
    let stack = StandardStack::server(&config).unwrap();
    let hang = Endpoint::from_fn(method("Hang"), |_, _: String| std::future::pending::<Result<String, Error>>());
    let hang = hang.with(&stack);
    let state = || layer(&hang, "breaker").state().unwrap();
    for _ in 0..5 {
        let cx = Context::background().with_timeout(Duration::from_millis(1));
        let error = hang.call_next(&cx, String::new()).await.unwrap_err();
        assert_eq!(error.code(), Code::DeadlineExceeded);
    }
    assert_eq!(state()["failures"], 0, "{}", state());
    for _ in 0..2 {
        hang.call_next(&Context::background(), String::new()).await.unwrap_err();
    }
    assert_eq!(state()["state"], "open", "our own deadline is our own fault");
}

#[tokio::test(start_paused = true)]
async fn every_method_of_a_client_pays_from_one_budget() {
    let mut config = ClientStackConfig { breaker: None, throttle: None, ..ClientStackConfig::default() };
    let retry = config.retry.as_mut().unwrap();
    (retry.budget.ratio, retry.budget.per_second, retry.budget.burst) = (0.0, 1.0, 2);
    retry.methods = ["Say", "Other"].map(str::to_owned).into();
    let stack = StandardStack::client(&config, Transport::Local).unwrap();
    let down = |name| {
        let calls = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
        let counted = calls.clone();
        let endpoint = Endpoint::from_fn(method(name), move |_, _: String| {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            async { Err::<String, _>(Error::unavailable("down")) }
        });
        (endpoint.with(&stack), calls)
    };
    let ((say, first), (other, second)) = (down("Say"), down("Other"));
    call(&say).await.unwrap_err();
    call(&other).await.unwrap_err();
    let made = [first, second].map(|calls| calls.load(std::sync::atomic::Ordering::Relaxed));
    assert_eq!(made, [3, 1], "the first took both that were saved");
}

#[test]
fn what_a_short_form_does_not_say_is_as_it_is_for_all() {
    let config = server(json!({
        "timeout": { "unary": "5s", "idle": "30s" },
        "rate_limit": { "limit": 7, "per": "1m" },
        "methods": { "Say": { "timeout": "2s", "rate_limit": "{\"limit\": 9}" } },
    }));
    let say = echo("Say", &StandardStack::server(&config).unwrap());
    assert_eq!(layer(&say, "timeout").settings(), json!({ "timeout": "2s", "idle": "30s" }));
    let limit = layer(&say, "rate_limit").settings();
    assert_eq!((&limit["limit"], &limit["per"]), (&json!(9), &json!("1m")));
}

#[test]
fn secrets_are_not_printed() {
    let shared = json!({ "rate_limit": { "shared": { "url": "redis://ann:hunter2@localhost:1/" } } });
    let config = ServerStackConfig::default().with_method("Say", shared);
    let printed = format!("{config:?} {:?}", StandardStack::server(&config));
    assert!(printed.contains("Say") && !printed.contains("hunter2"), "{printed}");
}

/// The reasons that calls are refused for, each by a layer that refuses everything, and those further in.
#[tokio::test(start_paused = true)]
async fn of_two_layers_that_refuse_the_outer_one_does() {
    let config = server(json!({
        "rate_limit": { "limit": 1, "per": "1h" },
        "concurrency": { "max": 1, "queue": 0 },
        "breaker": {},
        "fault": { "abort": { "code": "DATA_LOSS" } },
    }));
    let stack = StandardStack::server(&config).unwrap();
    let say = echo("Say", &stack);
    let (aborted, limited) = (call(&say).await.unwrap_err(), call(&say).await.unwrap_err());
    assert_eq!((aborted.code(), limited.reason().unwrap().reason.as_str()), (Code::DataLoss, "RATE_LIMITED"));
    layer(&say, "rate_limit").change(&json!({ "limit": 1_000_000, "reset": true })).unwrap();
    layer(&say, "breaker").change(&json!({ "force": "open" })).unwrap();
    assert_eq!(call(&say).await.unwrap_err().reason().unwrap().reason, "BREAKER_OPEN", "before the fault");
    layer(&say, "breaker").change(&json!({ "force": "none" })).unwrap();

    // A place is held before the breaker is asked.
    let hang = Endpoint::from_fn(method("Hang"), |_, _: String| std::future::pending::<Result<String, Error>>());
    let config = ServerStackConfig { fault: None, ..config };
    let hang = hang.with(&StandardStack::server(&config).unwrap());
    layer(&hang, "rate_limit").change(&json!({ "limit": 1_000_000, "reset": true })).unwrap();
    let cx = Context::background();
    let mut held = Box::pin(hang.call_next(&cx, String::new()));
    assert!(futures_util::poll!(&mut held).is_pending());
    layer(&hang, "breaker").change(&json!({ "force": "open" })).unwrap();
    assert_eq!(call(&hang).await.unwrap_err().reason().unwrap().reason, "CONCURRENCY_LIMIT");
}

#[test]
fn every_section_that_is_accepted_is_applied() {
    let before = json!({
        "bbr": {}, "rate_limit": {}, "concurrency": {}, "breaker": {}, "fault": {},
    });
    let stack = StandardStack::server(&server(before)).unwrap();
    let say = echo("Say", &stack);
    let after = server(json!({
        "timeout": "3s",
        "bbr": { "min_in_flight": 9 },
        "rate_limit": { "limit": 9 },
        "concurrency": { "max": 9 },
        "breaker": { "min_calls": 9 },
        "fault": { "max_active": 9 },
    }));
    stack.reconfigure(&after).unwrap();
    let now = |name: &str, key: &str| layer(&say, name).settings()[key].clone();
    assert_eq!(now("timeout", "timeout"), "3s");
    for (name, key) in [
        ("bbr", "min_in_flight"),
        ("rate_limit", "limit"),
        ("concurrency", "max"),
        ("breaker", "min_calls"),
        ("fault", "max_active"),
    ] {
        assert_eq!(now(name, key), 9, "{name}");
    }
    let fixed = server(json!({ "validation": { "enabled": false } }));
    let mut whole = json!(after);
    whole["validation"] = json!(fixed)["validation"].clone();
    let error = stack.reconfigure(&server(whole)).unwrap_err();
    assert!(error.message().starts_with("validation of Say can't be changed"), "{error}");

    let before = json!({ "hedge": {}, "concurrency": {} });
    let stack = StandardStack::client(&client(before), Transport::Local).unwrap();
    let say = echo("Say", &stack);
    let after = client(json!({
        "timeout": "3s",
        "retry": { "max_attempts": 9, "budget": { "burst": 9 } },
        "hedge": { "quantile": 0.9 },
        "throttle": { "max_probability": 0.5 },
        "breaker": { "min_calls": 9 },
        "concurrency": { "max": 9 },
    }));
    stack.reconfigure_client(&after).unwrap();
    let now = |name: &str| layer(&say, name).settings();
    assert_eq!((&now("timeout")["timeout"], &now("retry")["max_attempts"]), (&json!("3s"), &json!(9)));
    assert_eq!((&now("retry")["budget"]["burst"], &now("breaker")["min_calls"]), (&json!(9), &json!(9)));
    assert_eq!((&now("hedge")["quantile"], &now("throttle")["max_probability"]), (&json!(0.9), &json!(0.5)));
    assert_eq!(now("concurrency")["max"], 9);
}

#[test]
fn endpoints_that_are_gone_are_forgotten() {
    let stack = StandardStack::default();
    let kept = echo("Kept", &stack);
    for _ in 0..100 {
        drop(echo("Gone", &stack));
    }
    let Chain::Server(chain) = &stack.chain else { panic!("a service") };
    // The last one that is gone is forgotten when the next comes.
    assert_eq!(chain.followed(), 2);
    stack.reconfigure(&server(json!({ "timeout": "3s" }))).unwrap();
    assert_eq!(layer(&kept, "timeout").settings()["timeout"], "3s");
}
