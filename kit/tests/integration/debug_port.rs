//! A debug port on a free address, and what it shows.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use kit::{
    Context, Endpoint, Error, LayerInfo, Middleware, Payload,
    config::{Loader, Secret},
    debug::{Debug, DebugPort, LogControl, Unit},
    middleware::StandardStack,
    task::{Tasks, TasksConfig},
    telemetry::metrics::Metrics,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    chat::proto::chat::ChatEndpoints,
    support::{Answer, raw, room, soon},
};

/// A debug port on a free address, until it is dropped.
pub(crate) struct Port {
    pub(crate) address: SocketAddr,
    pub(crate) debug: DebugPort,
    connections: JoinSet<()>,
}

impl Port {
    pub(crate) async fn start(debug: Debug) -> Self {
        Self::start_at("127.0.0.1:0", debug).await
    }

    pub(crate) async fn start_at(address: &str, debug: Debug) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let debug = debug.start();
        let routes = debug.routes();
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut open = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = hyper_util::service::TowerToHyperService::new(routes.clone());
                let stream = hyper_util::rt::TokioIo::new(stream);
                open.spawn(hyper::server::conn::http1::Builder::new().serve_connection(stream, service));
                while open.try_join_next().is_some() {}
            }
        });
        Self { address, debug, connections }
    }

    /// Ends all connections and gives the address free.
    pub(crate) async fn stop(mut self) {
        self.connections.shutdown().await;
        self.debug.stop().await;
    }

    pub(crate) async fn send(&self, method: &str, target: &str, headers: &[&str], body: &str) -> Answer {
        let host = headers.iter().any(|header| header.starts_with("host:"));
        let host = if host { String::new() } else { format!("host: {}\r\n", self.address) };
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let length = body.len();
        let head = format!("{method} {target} HTTP/1.1\r\n{host}connection: close\r\ncontent-length: {length}\r\n");
        soon(raw(self.address, format!("{head}{headers}\r\n{body}").as_bytes())).await
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.send("GET", target, &[], "").await
    }

    pub(crate) async fn page(&self, target: &str) -> String {
        let answer = self.send("GET", target, &["accept: text/html"], "").await;
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{target}");
        answer.text()
    }

    pub(crate) async fn json(&self, target: &str) -> Value {
        let answer = self.send("GET", target, &["accept: application/json"], "").await;
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/json"), "{target}");
        answer.json()
    }
}

/// A log that remembers what it was told.
#[derive(Clone, Default)]
pub(crate) struct FakeLog(Arc<Mutex<Option<Told>>>);

/// A level, and for how long.
type Told = (String, Option<Duration>);

impl FakeLog {
    pub(crate) fn told(&self) -> Option<Told> {
        self.0.lock().unwrap().clone()
    }
}

impl LogControl for FakeLog {
    fn level(&self) -> String {
        self.told().map_or_else(|| "info".to_owned(), |(level, _)| level)
    }

    fn set_level(&self, level: &str, time: Option<Duration>) -> Result<(), Error> {
        if level == "loud" {
            return Err(Error::invalid_argument("\"loud\" is no level"));
        }
        *self.0.lock().unwrap() = Some((level.to_owned(), time));
        Ok(())
    }
}

/// A layer that only tells of itself, as a breaker does.
pub(crate) struct Telling(pub(crate) &'static str, pub(crate) Value, pub(crate) Value);

impl Middleware for Telling {
    fn apply<Req: Payload, Res: Payload>(&self, endpoint: Endpoint<Req, Res>) -> Endpoint<Req, Res> {
        let Self(name, settings, state) = self;
        let state = state.clone();
        let info = LayerInfo::new(*name, settings.clone()).with_state(move || state.clone());
        endpoint.wrap([info], |inner| inner)
    }
}

fn breaker() -> Telling {
    let state = json!({ "state": "open", "why": "21 of 40 calls failed", "closes_in": "4s" });
    Telling("breaker", json!({ "failure_ratio": 0.5, "window": "10s" }), state)
}

fn endpoints() -> ChatEndpoints {
    room().with(&breaker()).with(&StandardStack::default())
}

#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    greeting: String,
    database: Database,
}

#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Database {
    url: String,
    password: Secret,
    api_key: String,
}

/// Tasks of which one runs, one has panicked and one was refused.
pub(crate) async fn background() -> Tasks {
    let (tasks, cx) = (Tasks::with_config(&TasksConfig { max_running: 1 }), Context::background());
    tasks.spawn("<i>refresh</i>", &cx, async { panic!("what is to be refreshed is gone") }).unwrap();
    soon(async {
        while tasks.running() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    tasks.spawn("clean up", &cx, std::future::pending()).unwrap();
    tasks.spawn("clean up", &cx, std::future::pending()).unwrap_err();
    tasks
}

/// A debug port that has everything, and tasks of which none was started.
pub(crate) fn everything(log: &FakeLog) -> Debug {
    let loaded = Loader::new("APP")
        .text("app.yaml", "greeting: <b>hello</b>\ndatabase:\n  url: mysql://root:pa55@db/books\n  api_key: pa55\n")
        .env([("APP_DATABASE_PASSWORD", "pa55")])
        .load::<Settings>()
        .unwrap();
    Debug::new("chat & more")
        .version("1.2.3")
        .metrics(&Metrics::new())
        .service(&endpoints())
        .client(&room())
        .settings(loaded.settings())
        .log(log.clone())
        .tasks(&Tasks::new())
        .gauges("Buffers", Unit::Bytes, ["used", "reserved"], || [1024.0, f64::NAN])
}
