//! Layers that are changed on the debug port while calls run.

use kit::{
    Context, Transport,
    debug::Debug,
    middleware::{ClientStackConfig, ServerStackConfig, StandardStack},
};
use serde_json::json;

use crate::{
    chat::proto::chat::{Chat as _, ChatEndpoints},
    debug_port::Port,
    support::{line, room},
};

const LIMIT: &str = "/debug/stack/server/chat.Chat/Say/rate_limit";

fn limited() -> ChatEndpoints {
    let config = json!({ "rate_limit": { "limit": 1, "per": "1h" }, "breaker": {} });
    let config: ServerStackConfig = serde_json::from_value(config).unwrap();
    room().with(&StandardStack::server(&config).unwrap())
}

async fn port(endpoints: &ChatEndpoints) -> Port {
    let client = StandardStack::client(&ClientStackConfig::default(), Transport::Local).unwrap();
    Port::start(Debug::new("chat").service(endpoints).client(&room().with(&client))).await
}

async fn says(endpoints: &ChatEndpoints) -> bool {
    endpoints.say(&Context::background(), line("hello")).await.is_ok()
}

#[tokio::test]
async fn a_limit_is_changed_while_calls_run() {
    let endpoints = limited();
    let port = port(&endpoints).await;
    assert!(says(&endpoints).await && !says(&endpoints).await);
    let shown = port.json(LIMIT).await;
    assert_eq!((&shown["name"], &shown["settings"]["limit"]), (&json!("rate_limit"), &json!(1)));

    let changed = port.send("PUT", LIMIT, &[], r#"{ "limit": 3600, "burst": 100, "reset": true }"#).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(changed.json()["settings"]["limit"], 3600);
    for _ in 0..50 {
        assert!(says(&endpoints).await);
    }
    let other = port.json("/debug/stack/server/chat.Chat/Count/rate_limit").await;
    assert_eq!(other["settings"]["limit"], 1, "that of another method is another");
    port.stop().await;
}

#[tokio::test]
async fn a_breaker_is_forced_and_released() {
    let endpoints = limited();
    let port = port(&endpoints).await;
    let breaker = "/debug/stack/server/chat.Chat/Say/breaker";
    assert_eq!(port.send("PUT", breaker, &[], r#"{ "force": "open" }"#).await.json()["state"]["state"], "forced_open");
    let refused = endpoints.say(&Context::background(), line("hello")).await.unwrap_err();
    assert!(refused.message().contains("opened by hand"), "{refused}");
    assert_eq!(port.send("PUT", breaker, &[], r#"{ "force": "none" }"#).await.json()["state"]["state"], "closed");
    let budget = "/debug/stack/client/chat.Chat/Say/retry";
    let changed = port.send("PUT", budget, &[], r#"{ "max_attempts": 1 }"#).await;
    assert_eq!((changed.status, &changed.json()["settings"]["max_attempts"]), (200, &json!(1)), "{}", changed.text());
    port.stop().await;
}

#[tokio::test]
async fn what_is_wrong_changes_nothing_and_says_what_to_do() {
    let endpoints = limited();
    let port = port(&endpoints).await;
    for (target, body, status, why) in [
        (LIMIT, r#"{ "limit": 0 }"#, 400, "limit is 0"),
        (LIMIT, r#"{ "limt": 3 }"#, 400, "limt"),
        (LIMIT, r#"{ "limit": 3, "per": "1 apple" }"#, 400, "apple"),
        (LIMIT, "limit: 3", 400, "no JSON object such as"),
        (LIMIT, "[3]", 400, "object"),
        (LIMIT, "", 400, "no JSON object such as"),
        ("/debug/stack/server/chat.Chat/Say/recover", "{}", 400, "can't be changed while it runs"),
        (
            "/debug/stack/server/chat.Chat/Say/retry",
            "{}",
            404,
            "there are: access_log, recover, timeout, bbr, rate_limit",
        ),
        ("/debug/stack/server/chat.Chat/Sya/retry", "{}", 404, "there is no method chat.Chat/Sya"),
        ("/debug/stack/sever/chat.Chat/Say/retry", "{}", 404, "the sides are server and client"),
    ] {
        let answer = port.send("PUT", target, &[], body).await;
        assert!(answer.status == status && answer.text().contains(why), "{target} {body}: {}", answer.text());
    }
    let long = format!("{{ \"message\": \"{}\" }}", "x".repeat(70_000));
    assert_eq!(port.send("PUT", LIMIT, &[], &long).await.status, 413);
    let elsewhere = port.send("PUT", LIMIT, &["origin: http://evil.example"], r#"{ "limit": 5 }"#).await;
    assert_eq!(elsewhere.status, 403);
    assert_eq!(port.json(LIMIT).await["settings"]["limit"], 1);
    port.stop().await;
}

#[tokio::test]
async fn the_page_says_where_a_layer_is_changed() {
    let endpoints = limited();
    let port = port(&endpoints).await;
    let page = port.page("/debug/stack").await;
    assert!(page.contains("href=\"stack/server/chat.Chat/Say/rate_limit\""), "{page}");
    assert!(!page.contains("href=\"stack/server/chat.Chat/Say/recover\""));
    port.stop().await;
}
