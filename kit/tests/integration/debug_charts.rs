//! The charts in a real browser, under load.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use kit::{
    Context, Error,
    client::Channel,
    debug::{Debug, Unit},
    middleware::StandardStack,
    telemetry::{
        Telemetry,
        metrics::{Metrics, Side},
    },
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    chat::proto::chat::{Chat, ChatClient, ChatEndpoints, CountRequest},
    chromium::Browser,
    debug_port::{FakeLog, Port, Telling, background, everything},
    support::{Running, counting, line, saying},
};

/// How long a call of the service takes at least.
const WORK: Duration = Duration::from_millis(20);

/// How many calls of a method were served.
fn served(metrics: &Metrics, method: &str) -> f64 {
    let methods = metrics.methods();
    let figures = methods.iter().find(|figures| figures.method == method && figures.side == Side::Server);
    figures.expect("the method is counted").calls as f64
}

/// Calls without an end: each of `clients` has one call at a time.
fn load(url: &str, clients: usize, failing: &Arc<AtomicBool>) -> JoinSet<()> {
    let client = ChatClient::new(&Channel::new(url).unwrap());
    let mut running = JoinSet::new();
    for _ in 0..clients {
        let (client, failing) = (client.clone(), Arc::clone(failing));
        running.spawn(async move {
            loop {
                client.say(&Context::background(), line("hello")).await.unwrap();
                if failing.load(Ordering::Relaxed) {
                    client.count(&Context::background(), CountRequest { to: 1 }).await.unwrap_err();
                }
            }
        });
    }
    running
}

/// Where pictures go: kept where `KIT_PICTURES` says.
fn pictures() -> PathBuf {
    std::env::var_os("KIT_PICTURES")
        .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("charts"), PathBuf::from)
}

/// Looks at an open page of charts as people have it, leaves pictures, and checks that all of it is within the window.
pub(crate) async fn photograph(browser: &Browser, name: &str) {
    for (kind, scheme, width, height, phone) in
        [("light", "light", 1360, 900, false), ("dark", "dark", 1360, 900, false), ("phone", "light", 390, 844, true)]
    {
        browser.prefers(scheme).await;
        browser.size(width, height, if phone { 2.0 } else { 1.0 }, phone).await;
        // Drawn anew, in the new size.
        let draws = browser.run("return __kitCharts.counts.draws").await;
        browser.wait_until(&format!("__kitCharts.counts.draws > {draws} + 1 && innerWidth === {width}")).await;
        let size = browser.run("return [document.documentElement.scrollWidth, innerWidth]").await;
        assert!(size[0].as_u64() <= size[1].as_u64(), "{kind}: the page is wider than the window: {size}");
        browser.picture(&pictures().join(format!("{name}-{kind}.png")), !phone).await;
    }
    browser.prefers("light").await;
    browser.size(1360, 900, 1.0, false).await;
}

/// The picture of the first chart, as text.
async fn first_chart(browser: &Browser) -> Value {
    browser.run("return document.querySelector('.plot canvas').toDataURL()").await
}

/// The number on a tile.
async fn tile(browser: &Browser, name: &str) -> f64 {
    let text = browser.run(&format!("return document.querySelector('#tile-{name} span').firstChild.textContent")).await;
    let text = text.as_str().unwrap();
    text.parse().unwrap_or_else(|_| panic!("the tile {name} says {text:?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_curves_move_under_load_and_tell_the_truth() {
    let Some(browser) = Browser::start().await else { return };
    let metrics = Metrics::new();
    let breaker = Telling("breaker", json!({}), json!({ "state": "half_open", "probes": 2 }));
    let watched = StandardStack::default().watched_by(&Telemetry::new().with_metrics(&metrics));
    let endpoints = ChatEndpoints {
        count: counting(async |_, _| Err(Error::unavailable("nobody counts today"))).count,
        ..saying(async |_, line| {
            tokio::time::sleep(WORK).await;
            Ok(line)
        })
    };
    let endpoints = endpoints.with(&breaker).with(&watched);
    let server = Running::serve(&endpoints).await;
    let debug = || {
        Debug::new("chat").version("1.2.3").metrics(&metrics).service(&endpoints).gauges(
            "Buffers",
            Unit::Bytes,
            ["used", "reserved"],
            || [3e6, 5e6],
        )
    };
    let port = Port::start(debug()).await;
    let url = format!("http://{}/debug/charts/", port.address);

    browser.size(1360, 900, 1.0, false).await;
    browser.open(&url).await;
    browser.wait_until("__kitCharts.status === 'live' && __kitCharts.history.seq >= 2").await;
    let seen = browser.run("return getComputedStyle(document.getElementById('no-methods')).display").await;
    assert_eq!(seen, "block", "there was no call");
    assert!(tile(&browser, "memory").await > 0.0);

    // A little load, then more of it: the numbers and the picture follow.
    let failing = Arc::new(AtomicBool::new(false));
    let mut little = load(&server.grpc_url(), 1, &failing);
    browser.wait_until("parseFloat(document.querySelector('#tile-calls span').textContent) > 5").await;
    let (slow, before) = (tile(&browser, "calls").await, first_chart(&browser).await);
    assert!(slow <= 1.0 / WORK.as_secs_f64() * 1.1, "{slow}: one caller makes at most so many calls a second");
    let mut much = load(&server.grpc_url(), 8, &failing);
    failing.store(true, Ordering::Relaxed);
    browser
        .wait_until(&format!("parseFloat(document.querySelector('#tile-calls span').textContent) > {}", 2.0 * slow))
        .await;
    browser.wait_until("parseFloat(document.querySelector('#tile-errors span').textContent) > 10").await;
    assert_ne!(first_chart(&browser).await, before);
    let p50 =
        browser.run("return [...__kitCharts.history.methods.values()][0].p50.filter((v) => v !== null).at(-1)").await;
    // Figures are known by the bucket, which is 9 % wide.
    assert!(p50.as_f64().unwrap() >= WORK.as_secs_f64() / 1.0906, "{p50}");
    let rows =
        browser.run("return [...document.querySelectorAll('#legend .name')].map((name) => name.textContent)").await;
    assert_eq!(rows, json!(["Chat/Say", "Chat/Count"]));
    let chips =
        browser.run("return [...document.querySelectorAll('#states .chip')].map((chip) => chip.className)").await;
    assert_eq!(chips.as_array().unwrap().first(), Some(&json!("chip warn")));

    // The values under the pointer.
    browser
        .run(
            "const plot = document.querySelector('.plot'), box = plot.getBoundingClientRect();
             plot.dispatchEvent(new PointerEvent('pointermove', { clientX: box.right - 6, clientY: box.top + 50 }));",
        )
        .await;
    browser.wait_until("!document.getElementById('tip').hidden").await;
    let tip = browser.run("return document.getElementById('tip').textContent").await;
    assert!(tip.as_str().unwrap().contains("Say"), "{tip}");

    photograph(&browser, "test").await;
    // A method can be hidden, the range chosen, the page stopped.
    browser
        .run("document.querySelector('#legend button').click(); document.querySelector('#range button').click()")
        .await;
    browser.wait_until("document.querySelector('#legend tr').classList.contains('off')").await;
    browser.wait_until("document.querySelector('#range button').getAttribute('aria-pressed') === 'true'").await;
    browser.run("document.querySelector('#legend button').click(); document.getElementById('pause').click()").await;
    browser.wait_until("document.getElementById('status').textContent.startsWith('Paused')").await;
    browser.run("document.getElementById('pause').click()").await;
    browser.wait_until("__kitCharts.status === 'live'").await;

    // The load ends: so do the curves, and the area under them is what was called.
    little.shutdown().await;
    much.shutdown().await;
    browser
        .wait_until(
            "['calls', 'active'].every((tile) => document.querySelector(`#tile-${tile} span`).textContent.startsWith('0'))",
        )
        .await;
    let area = browser
        .run(
            "const { t, methods } = __kitCharts.history;
             const sum = (values) => values.reduce((sum, v, i) => sum + (v ?? 0) * (t[i] - (t[i - 1] ?? 0)), 0);
             return Object.fromEntries([...methods.values()].map((m) => [m.method, sum(m.calls)]));",
        )
        .await;
    for method in ["Say", "Count"] {
        let (drawn, counted) = (area[method].as_f64().unwrap(), served(&metrics, method));
        assert!((drawn - counted).abs() <= 0.02 * counted + 1.0, "{method}: {drawn} drawn, {counted} counted");
    }
    assert_eq!(browser.complaints().await, [] as [String; 0]);

    // The service goes away and comes back as another process would.
    let address = port.address.to_string();
    port.stop().await;
    browser.wait_until("document.getElementById('status').textContent.startsWith('No answer since')").await;
    let boot = browser.run("return __kitCharts.history.boot").await;
    let port = Port::start_at(&address, debug()).await;
    browser.wait_until(&format!("__kitCharts.status === 'live' && __kitCharts.history.boot !== {boot}")).await;
    let points = browser.run("return __kitCharts.history.t.length").await;
    assert!(points.as_u64().unwrap() < 60, "{points}: nothing of the other process is left");
    port.stop().await;
    server.stopped().await.unwrap();
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_works_in_a_browser_on_a_phone_and_in_the_dark() {
    let Some(browser) = Browser::start().await else { return };
    let log = FakeLog::default();
    let tasks = background().await;
    let port = Port::start(everything(&log).tasks(&tasks)).await;
    browser.prefers("dark").await;
    for (path, name) in [("", "index"), ("stack", "stack"), ("config", "config"), ("tasks", "tasks"), ("log", "log")] {
        for (width, height, phone) in [(390, 844, true), (1360, 900, false)] {
            browser.size(width, height, 1.0, phone).await;
            browser.open(&format!("http://{}/debug/{path}", port.address)).await;
            let size = browser.run("return [document.documentElement.scrollWidth, innerWidth]").await;
            assert!(size[0].as_u64() <= size[1].as_u64(), "{path}: the page is wider than the window: {size}");
            let file = format!("{name}-{}.png", if phone { "phone" } else { "dark" });
            browser.picture(&pictures().join(file), true).await;
        }
    }
    let colour = "return getComputedStyle(document.body).backgroundColor";
    let dark = browser.run(colour).await;
    browser.run("document.getElementById('theme').click()").await;
    assert_ne!(browser.run(colour).await, dark, "the reader wants it light");

    // The form of the log comes from the port's own page, and is obeyed.
    browser
        .run(
            "document.getElementById('new-level').value = 'debug';
             document.querySelector('#log button').click();",
        )
        .await;
    browser.wait_until("document.getElementById('answer').textContent === 'Changed to debug for 10m.'").await;
    assert_eq!(log.told(), Some(("debug".to_owned(), Some(Duration::from_secs(600)))));
    assert_eq!(browser.complaints().await, [] as [String; 0]);

    browser.open(&format!("http://{}/debug/config", port.address)).await;
    browser
        .run(
            "const filter = document.getElementById('filter');
             filter.value = 'password';
             filter.dispatchEvent(new Event('input'));",
        )
        .await;
    let rows = browser
        .run("return [...document.querySelectorAll('.settings tbody tr')].filter((r) => !r.hidden).length")
        .await;
    assert_eq!(rows, 1);
    browser.close().await;
    port.stop().await;
}
