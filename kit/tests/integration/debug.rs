//! The debug port over a real socket: its pages, whom it answers, and what it changes.

use std::time::Duration;

use kit::{
    Endpoint, LayerInfo, Middleware, Payload,
    debug::{Debug, DebugConfig, Unit},
};
use serde_json::{Value, json};

use crate::{
    debug_port::{FakeLog, Port, background, everything},
    support::{room, soon},
};

#[tokio::test]
async fn one_page_links_all_and_all_of_it_comes_from_the_port_itself() {
    let port = Port::start(everything(&FakeLog::default())).await;
    let index = port.page("/debug/").await;
    for part in ["<h1>chat &amp; more <small>1.2.3</small></h1>", &std::process::id().to_string(), "Up for"] {
        assert!(index.contains(part), "{part}: {index}");
    }
    for path in ["charts/", "stack", "config", "log", "tasks", "vars"] {
        assert!(index.contains(&format!("<li><a href=\"{path}\">")), "{path}: {index}");
        let page = port.send("GET", &format!("/debug/{path}"), &["accept: text/html"], "").await;
        assert_eq!((page.status, page.complete), (200, true), "{path}");
        let text = page.text();
        let outside = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!outside.contains("http://") && !outside.contains("https://") && !outside.contains("//cdn"), "{path}");
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(page.header(name), Some(value), "{path}");
        }
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("access-control-allow-origin"), None);
    }
    assert!(!index.contains("Not here"), "{index}");
    for (from, to) in [("/debug", "debug/"), ("/", "debug/"), ("/debug/charts", "charts/")] {
        let answer = port.get(from).await;
        assert_eq!((answer.status, answer.header("location")), (308, Some(to)), "{from}");
    }
    for asset in ["debug.css", "debug.js", "charts.css", "charts.js", "chart.js", "history.js"] {
        let answer = port.get(&format!("/debug/assets/{asset}")).await;
        assert_eq!(answer.status, 200);
        let content_type = answer.header("content-type").unwrap();
        assert!(content_type.starts_with(if asset.ends_with("css") { "text/css" } else { "text/javascript" }));
        assert!(!answer.text().contains("https://"), "{asset}");
    }
    let head = port.send("HEAD", "/debug/vars", &[], "").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

/// A drawing has its script and its styles inside, which no other page may have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn profiles_are_there_by_themselves_and_guarded_as_all_else() {
    let port = Port::start(Debug::new("bare")).await;
    let index = port.page("/debug/").await;
    for (path, linked, content_type, inside) in [
        ("/debug/pprof/", "pprof/", "text/html; charset=utf-8", &["style-src"][..]),
        ("/debug/flamegraph?seconds=1", "flamegraph", "image/svg+xml", &["style-src", "script-src"]),
    ] {
        assert!(index.contains(&format!("<li><a href=\"{linked}\">")), "{linked}: {index}");
        let cross_site = ["sec-fetch-site: cross-site", "sec-fetch-mode: no-cors", "sec-fetch-dest: image"];
        for headers in [&["host: evil.example"][..], &cross_site] {
            let refused = port.send("GET", path, headers, "").await;
            assert_eq!(
                (refused.status, refused.header("access-control-allow-origin")),
                (403, None),
                "{path} {headers:?}"
            );
            assert!(!refused.header("content-security-policy").unwrap().contains("unsafe"), "{path}");
        }
        let page = port.get(path).await;
        assert_eq!((page.status, page.complete), (200, true), "{path}: {}", page.text());
        for (name, value) in [
            ("content-type", content_type),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            let all: Vec<_> = page.headers.iter().filter(|(header, _)| header == name).collect();
            assert_eq!((all.len(), page.header(name)), (1, Some(value)), "{path}");
        }
        let policies: Vec<_> = page.headers.iter().filter(|(name, _)| name == "content-security-policy").collect();
        assert_eq!(policies.len(), 1, "{policies:?}");
        let policy = &policies[0].1;
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("base-uri 'none'"), "{policy}");
        for source in ["style-src", "script-src"] {
            let own = policy.contains(&format!("{source} 'unsafe-inline'"));
            assert_eq!(own, inside.contains(&source), "{path}: {policy}");
        }
    }
    // What is refused by the profiler itself has the policy of the port.
    let refused = port.get("/debug/flamegraph?format=png").await;
    assert_eq!(refused.status, 400);
    assert!(!refused.header("content-security-policy").unwrap().contains("unsafe"));
}

/// Who follows a link, or asks whether a page is there, does not mean to begin a recording of five minutes.
#[tokio::test]
async fn a_recording_is_begun_by_nobody_who_does_not_mean_it() {
    let port = Port::start(Debug::new("bare")).await;
    let link = ["sec-fetch-site: cross-site", "sec-fetch-mode: navigate", "sec-fetch-dest: document"];
    for path in ["/debug/pprof/profile?seconds=300", "/debug/pprof/trace?seconds=60", "/debug/flamegraph?seconds=300"] {
        let followed = port.send("GET", path, &link, "").await;
        assert_eq!(followed.status, 403, "{path}");
        assert!(followed.text().contains("another origin"), "{path}: {}", followed.text());
        let head = port.send("HEAD", path, &[], "").await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
    }
    assert_eq!(port.send("GET", "/debug/pprof/", &link, "").await.status, 200, "a page may be linked to");
    assert!(port.get("/debug/pprof/").await.text().contains("Nothing is being recorded"));
}

#[tokio::test]
async fn profiles_and_pages_refuse_alike() {
    let port = Port::start(Debug::new("bare")).await;
    for path in ["/debug/pprof/profile", "/debug/pprof/heap", "/debug/flamegraph", "/debug/stack"] {
        for (query, says) in [("x=1", "unknown parameter \"x\""), ("format=a&format=b", "")] {
            let path = format!("{path}?{query}");
            let line = port.get(&path).await;
            assert_eq!((line.status, line.header("content-type")), (400, Some("text/plain; charset=utf-8")), "{path}");
            let json = port.send("GET", &path, &["accept: application/json"], "").await;
            assert_eq!((json.status, &json.json()["code"]), (400, &json!(3)), "{path}");
            assert_eq!(line.text().trim_end(), json.json()["message"], "{path}");
            assert!(line.text().contains(says), "{path}: {}", line.text());
        }
    }
}

/// What the program says of itself is its own code, which may be broken when the port is needed most.
#[tokio::test]
async fn a_gauge_or_a_layer_that_panics_is_left_out_and_the_page_is_answered() {
    struct Broken;

    impl Middleware for Broken {
        fn apply<Req: Payload, Res: Payload>(&self, endpoint: Endpoint<Req, Res>) -> Endpoint<Req, Res> {
            let info = LayerInfo::new("broken", json!({})).with_state(|| panic!("this layer is broken"));
            endpoint.wrap([info], |inner| inner)
        }
    }

    let debug = everything(&FakeLog::default())
        .service(&room().with(&Broken))
        .gauges("Buffers", Unit::Count, ["a"], || panic!("this gauge is broken"))
        .gauges("Buffers", Unit::Count, ["a"], || [7.0]);
    let port = Port::start(debug).await;
    let gauges = port.get("/debug/vars").await.json()["gauges"].clone();
    assert_eq!((&gauges["Buffers 2"], &gauges["Buffers 3"]), (&json!({ "a": null }), &json!({ "a": 7.0 })));
    assert_eq!(gauges["Buffers"]["used"], 1024.0);

    let stack = port.json("/debug/stack").await;
    let layers = |method: &Value| method["layers"].as_array().unwrap().clone();
    let all: Vec<Value> = stack["methods"].as_array().unwrap().iter().flat_map(layers).collect();
    let of = |name: &str| all.iter().find(|layer| layer["name"] == name).unwrap();
    assert_eq!((&of("broken")["state"], &of("breaker")["state"]["state"]), (&Value::Null, &json!("open")));
    assert!(port.page("/debug/stack").await.contains("<h4>broken</h4>"));

    let states = port.json("/debug/charts/data").await["states"].clone();
    assert!(states.as_array().unwrap().iter().any(|state| state["layer"] == "breaker"), "{states}");
}

#[tokio::test]
async fn the_stack_tells_layers_from_the_outside_in_and_why_a_breaker_is_open() {
    let port = Port::start(everything(&FakeLog::default())).await;
    let stack = port.json("/debug/stack").await;
    let methods = stack["methods"].as_array().unwrap();
    let say = methods.iter().find(|method| method["method"] == "Say").unwrap();
    assert_eq!((&say["side"], &say["service"], &say["kind"]), (&json!("server"), &json!("chat.Chat"), &json!("unary")));
    let names: Vec<_> = say["layers"].as_array().unwrap().iter().map(|layer| &layer["name"]).collect();
    assert_eq!(names.last(), Some(&&json!("breaker")), "{names:?}");
    assert!(names.contains(&&json!("timeout")), "{names:?}");
    let breaker = say["layers"].as_array().unwrap().last().unwrap();
    assert_eq!(breaker["settings"]["failure_ratio"], 0.5);
    assert_eq!(breaker["state"]["why"], "21 of 40 calls failed");
    let talk = methods.iter().filter(|method| method["method"] == "Talk").collect::<Vec<_>>();
    assert_eq!((&talk[0]["kind"], &talk[1]["side"]), (&json!("bidi streaming"), &json!("client")));

    let page = port.page("/debug/stack").await;
    for part in ["<span class=\"chip bad\">open</span>", "21 of 40 calls failed", "<h4>timeout</h4>", "<dd>10s</dd>"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert_eq!(port.get("/debug/stack?format=json").await.json(), stack);
}

#[tokio::test]
async fn settings_are_shown_with_their_source_and_without_secrets() {
    let port = Port::start(everything(&FakeLog::default())).await;
    let config = port.json("/debug/config").await;
    assert_eq!(
        config["settings"],
        json!([
            { "key": "greeting", "value": "<b>hello</b>", "origin": "app.yaml:1" },
            { "key": "database.url", "value": "mysql://root:***@db/books", "origin": "app.yaml:3" },
            { "key": "database.password", "value": "***", "origin": "env APP_DATABASE_PASSWORD" },
            { "key": "database.api_key", "value": "***", "origin": "app.yaml:4" },
        ])
    );
    let page = port.page("/debug/config").await;
    assert!(page.contains("&lt;b&gt;hello&lt;/b&gt;") && page.contains("env APP_DATABASE_PASSWORD"), "{page}");
    assert!(!page.contains("pa55"));
}

#[tokio::test]
async fn vars_and_tasks_are_figures_of_now() {
    let tasks = background().await;
    let port = Port::start(everything(&FakeLog::default()).tasks(&tasks)).await;
    let vars = port.get("/debug/vars").await.json();
    assert_eq!((&vars["service"], &vars["version"]), (&json!("chat & more"), &json!("1.2.3")));
    assert_eq!(vars["pid"], std::process::id());
    assert!(vars["memory"]["resident_bytes"].as_u64().unwrap() > 1 << 20);
    assert!(vars["cmdline"][0].as_str().unwrap().contains("integration"), "{}", vars["cmdline"]);
    assert!(vars["uptime_seconds"].as_f64().unwrap() >= 0.0 && vars["threads"].as_u64().unwrap() >= 1);
    assert!(vars["cpu_seconds"].as_f64().unwrap() > 0.0 && vars["open_fds"].as_u64() < vars["max_fds"].as_u64());
    assert_eq!(vars["gauges"]["Buffers"], json!({ "used": 1024.0, "reserved": null }));
    // With the feature `heap` jemalloc is linked, and tells of itself.
    assert!(vars["gauges"]["Allocator"]["allocated"].as_f64().unwrap() > f64::from(1 << 20), "{}", vars["gauges"]);
    assert_eq!(vars["methods"], json!([]));
    assert_eq!(vars["charts"]["points"], 900);
    assert_eq!(vars["charts"]["max_bytes"], Debug::MAX_HISTORY_BYTES);

    let told = port.json("/debug/tasks").await;
    assert_eq!(
        told["tasks"],
        json!([
            { "name": "<i>refresh</i>", "running": 0, "spawned": 1, "finished": 0, "panicked": 1, "refused": 0 },
            { "name": "clean up", "running": 1, "spawned": 1, "finished": 0, "panicked": 0, "refused": 1 },
        ])
    );
    assert_eq!(vars["tasks"], told["tasks"]);
    assert!(told["runtime"]["alive_tasks"].as_u64().unwrap() >= 1);
    let page = port.page("/debug/tasks").await;
    assert!(page.contains("&lt;i&gt;refresh&lt;/i&gt;") && page.contains("<td class=\"number bad\">1</td>"), "{page}");

    // The page is of the moment it is asked for.
    assert_eq!(tasks.close(Duration::ZERO).await, 1);
    assert_eq!(port.json("/debug/tasks").await["tasks"][1]["running"], 0);
    let idle = Port::start(everything(&FakeLog::default())).await;
    assert_eq!(idle.json("/debug/tasks").await["tasks"], json!([]));
    assert!(idle.page("/debug/tasks").await.contains("None was started so far"));
}

#[tokio::test]
async fn the_level_of_the_log_is_read_and_changed() {
    let log = FakeLog::default();
    let port = Port::start(everything(&log)).await;
    assert_eq!(port.get("/debug/log").await.text(), "info\n");
    assert_eq!(port.json("/debug/log").await, json!({ "level": "info" }));
    assert!(port.page("/debug/log").await.contains("<code id=\"level\">info</code>"));

    let json = "content-type: application/json";
    let ten = Some(Duration::from_secs(600));
    for (target, headers, body, told, answer) in [
        ("/debug/log", &[][..], "debug\n", ("debug", None), "debug\n"),
        ("/debug/log?for=10m", &[], "info,kit=trace", ("info,kit=trace", ten), "info,kit=trace for 10m\n"),
        ("/debug/log?for=24h", &[], "warn", ("warn", Some(Duration::from_secs(86_400))), "warn for 24h\n"),
    ] {
        let said = port.send("PUT", target, headers, body).await;
        assert_eq!((said.status, said.text()), (200, answer.to_owned()), "{body}");
        assert_eq!(log.told(), Some((told.0.to_owned(), told.1)));
    }
    let said = port.send("PUT", "/debug/log", &[json], r#"{"level":"error","for":"10m"}"#).await;
    assert_eq!((said.status, said.json()), (200, json!({ "level": "error", "for": "10m" })));
    assert_eq!(log.told(), Some(("error".to_owned(), ten)));

    let long = "x".repeat(5000);
    for (target, headers, body, status, says) in [
        ("/debug/log", &[][..], "loud", 400, "no level"),
        ("/debug/log", &[], "  ", 400, "is empty"),
        ("/debug/log", &[], &long, 413, "4096"),
        ("/debug/log?for=10", &[], "debug", 400, "has no unit"),
        ("/debug/log?for=0s", &[], "debug", 400, "above 0s"),
        ("/debug/log?for=25h", &[], "debug", 400, "at most 24h"),
        ("/debug/log?time=10m", &[], "debug", 400, "\"time\""),
        ("/debug/log", &[json], r#"{"level":"debug","time":"1m"}"#, 400, "time"),
        ("/debug/log", &[json], r#"{"level":7}"#, 400, "string"),
        ("/debug/log", &[json], "debug", 400, "not like"),
    ] {
        let said = port.send("PUT", target, headers, body).await;
        assert_eq!(said.status, status, "{target} {body}: {}", said.text());
        assert!(said.text().contains(says), "{target} {body}: {}", said.text());
        assert_eq!(log.told().unwrap().0, "error", "nothing was changed");
    }
    let asked = port.send("PUT", "/debug/log", &["accept: application/json"], "loud").await;
    assert_eq!(asked.json(), json!({ "code": 3, "message": "\"loud\" is no level" }));
}

#[tokio::test]
async fn pages_of_other_sites_read_and_change_nothing() {
    let log = FakeLog::default();
    let config = DebugConfig { hosts: vec!["details.internal".to_owned()], ..DebugConfig::default() };
    let port = Port::start(everything(&log).config(&config)).await;
    let host = format!("host: {}", port.address);
    for headers in [
        // A name that was made to lead here.
        &["host: evil.example", "origin: http://evil.example"][..],
        &["host: evil.example"],
        &[&host, "origin: http://evil.example"],
        &[&host, "origin: null"],
        &[&host, "sec-fetch-site: cross-site"],
    ] {
        let answer = port.send("PUT", "/debug/log", headers, "trace").await;
        assert_eq!(answer.status, 403, "{headers:?}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(log.told(), None);
    }
    let rebound = port.send("GET", "/debug/config", &["host: evil.example"], "").await;
    assert_eq!(rebound.status, 403);
    assert!(rebound.text().contains("debug.hosts"), "{}", rebound.text());
    let preflight = ["origin: http://evil.example", "access-control-request-method: PUT"];
    let preflight = port.send("OPTIONS", "/debug/log", &preflight, "").await;
    assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (403, None));

    let own = format!("origin: http://{}", port.address);
    assert_eq!(port.send("PUT", "/debug/log", &[&host, &own], "debug").await.status, 200);
    let named = ["host: details.internal:5003", "origin: http://details.internal:5003"];
    assert_eq!(port.send("PUT", "/debug/log", &named, "warn").await.status, 200);
    assert_eq!(port.send("GET", "/debug/", &["host: localhost:1"], "").await.status, 200);
}

#[tokio::test]
async fn what_is_not_there_says_what_is() {
    let port = Port::start(everything(&FakeLog::default())).await;
    let missing = port.get("/debug/chart").await;
    assert_eq!(missing.status, 404);
    let text = missing.text();
    for part in
        ["\"/debug/chart\"", "/debug/charts/", "/debug/stack", "/debug/vars", "/debug/pprof/", "/debug/flamegraph"]
    {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(port.get("/metrics").await.status, 404);
    for (method, target, allow) in
        [("POST", "/debug/stack", "GET,HEAD"), ("DELETE", "/debug/log", "GET,HEAD,PUT"), ("PUT", "/debug/", "GET,HEAD")]
    {
        let answer = port.send(method, target, &[], "").await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allow)), "{target}");
        assert!(answer.text().contains(method), "{}", answer.text());
    }
    for target in ["/debug/stack?formt=json", "/debug/?x", "/debug/config?format=yaml", "/debug/charts/data?since=-1"] {
        let answer = port.get(target).await;
        assert_eq!(answer.status, 400, "{target}");
    }
}

#[tokio::test]
async fn a_port_that_was_given_nothing_says_so() {
    let config = DebugConfig { charts: false, ..DebugConfig::default() };
    let port = Port::start(Debug::new("bare").config(&config)).await;
    let index = port.page("/debug/").await;
    for part in ["switched off by debug.charts", "Debug::service", "Debug::settings", "Debug::log"] {
        assert!(index.contains(part), "{part}: {index}");
    }
    assert_eq!(port.get("/debug/charts/").await.status, 404);
    assert_eq!(port.get("/debug/charts/data").await.status, 404);
    assert_eq!(port.json("/debug/stack").await, json!({ "methods": [] }));
    assert_eq!(port.json("/debug/config").await, json!({ "settings": [] }));
    assert_eq!(port.json("/debug/tasks").await["tasks"], Value::Null);
    assert_eq!(port.get("/debug/log").await.status, 501);
    assert_eq!(port.send("PUT", "/debug/log", &[], "debug").await.status, 501);
    assert!(port.page("/debug/log").await.contains("Debug::log"));
    assert_eq!(port.get("/debug/vars").await.json()["charts"], Value::Null);
}

#[tokio::test]
async fn figures_are_told_from_where_a_page_left_off() {
    let port = Port::start(everything(&FakeLog::default())).await;
    let first = soon(async {
        loop {
            let data = port.json("/debug/charts/data").await;
            if data["seq"].as_u64().unwrap() >= 1 {
                return data;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!((&first["from"], &first["points"], &first["step"]), (&json!(1), &json!(900), &json!(1)));
    let titles: Vec<_> = first["panels"].as_array().unwrap().iter().map(|panel| &panel["title"]).collect();
    assert_eq!(titles, ["Memory", "CPU", "Runtime", "Threads", "Tasks", "Buffers", "Allocator"]);
    assert_eq!(first["panels"][5]["lines"][0]["values"][0], 1024);
    let mut states = first["states"].as_array().unwrap().iter();
    let breaker = states.find(|state| state["layer"] == "breaker").unwrap();
    assert_eq!(
        (&breaker["layer"], &breaker["label"], &breaker["tone"]),
        (&json!("breaker"), &json!("open"), &json!("bad"))
    );

    let (seq, boot) = (first["seq"].as_u64().unwrap(), first["boot"].as_str().unwrap());
    let later = port.json(&format!("/debug/charts/data?since={seq}&boot={boot}")).await;
    assert_eq!(later["from"], seq + 1);
    let restarted = port.json(&format!("/debug/charts/data?since={seq}&boot=another")).await;
    assert_eq!(restarted["from"], 1, "the page knows another process: it gets all");
}

#[tokio::test]
async fn what_was_started_ends() {
    let runtime = tokio::runtime::Handle::current().metrics();
    let before = runtime.num_alive_tasks();
    let debug = everything(&FakeLog::default()).start();
    assert_eq!(runtime.num_alive_tasks(), before + 1);
    debug.stop().await;
    assert_eq!(runtime.num_alive_tasks(), before);

    let dropped = everything(&FakeLog::default()).start();
    drop(dropped);
    soon(async {
        while runtime.num_alive_tasks() > before {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
