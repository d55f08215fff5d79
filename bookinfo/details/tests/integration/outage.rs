//! Under load, while the comments service goes and comes back.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bookcomments::proto::comments::BookCommentsEndpoints;
use bookcommon::testing::instruments;
use bookdetails::{
    app::App,
    config::{CommentsConfig, Config},
    proto::details::{BookDetails, BookDetailsClient, DetailReq},
    repository::DatabaseConfig,
};
use kit::{Context, client::Channel, middleware::ServerStackConfig, server::Server};
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::timeout,
};

use crate::fake::{FakeComments, Mood};

const PATIENCE: Duration = Duration::from_secs(60);

/// A comments service at this address, which is gone with its connections when the task is aborted.
async fn comments(addr: SocketAddr) -> (SocketAddr, JoinHandle<()>) {
    let endpoints = BookCommentsEndpoints::new(FakeComments::new(Mood::Answer));
    let server = Server::new().grpc(addr).service(&endpoints).bind().await.unwrap();
    let addr = server.grpc_addr().unwrap();
    (addr, tokio::spawn(async move { server.run(std::future::pending()).await.unwrap() }))
}

async fn details(comments: SocketAddr) -> (Vec<String>, JoinHandle<()>) {
    let any = "127.0.0.1:0".parse().unwrap();
    let database = DatabaseConfig { migrate: true, seed: true, ..DatabaseConfig::new("sqlite::memory:") };
    let mut config = Config {
        http_addr: any,
        grpc_addr: any,
        database,
        comments: CommentsConfig { address: format!("grpc://{comments}"), ..CommentsConfig::default() },
        standard: ServerStackConfig { bbr: None, ..ServerStackConfig::default() },
        ..Config::default()
    };
    // As by default, but that the breaker closes sooner.
    let breaker = config.comments.standard.breaker.as_mut().unwrap();
    (breaker.open_for, breaker.open_max) = (Duration::from_millis(100), Duration::from_millis(200));
    let app = App::build(&config, instruments("details")).await.unwrap();
    let server = app.server(&config).bind().await.unwrap();
    let addresses =
        vec![format!("http://{}", server.http_addr().unwrap()), format!("grpc://{}", server.grpc_addr().unwrap())];
    (addresses, tokio::spawn(async move { server.run(std::future::pending()).await.unwrap() }))
}

/// What callers saw.
#[derive(Default)]
struct Seen {
    with_comments: watch::Sender<u64>,
    without: watch::Sender<u64>,
    over: AtomicBool,
}

impl Seen {
    /// Waits until the callers have seen so many more of a kind.
    async fn more(kind: &watch::Sender<u64>, number: u64) {
        let mut seen = kind.subscribe();
        let enough = *seen.borrow() + number;
        let seen = timeout(PATIENCE, seen.wait_for(|seen| *seen >= enough)).await;
        seen.expect("what is waited for comes").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn books_are_answered_while_comments_are_killed_and_restarted() {
    let (addr, running) = comments("127.0.0.1:0".parse().unwrap()).await;
    let (addresses, _details) = details(addr).await;
    let seen = Arc::new(Seen::default());
    let mut callers = JoinSet::new();
    for number in 0..8 {
        let client = BookDetailsClient::new(&Channel::new(&addresses[number % addresses.len()]).unwrap());
        let seen = Arc::clone(&seen);
        callers.spawn(async move {
            while !seen.over.load(Ordering::Relaxed) {
                // Every one has to be answered.
                let answer = client.detail(&Context::background(), DetailReq { id: 1 }).await.unwrap();
                let kind = if answer.data.unwrap().comments.is_empty() { &seen.without } else { &seen.with_comments };
                kind.send_modify(|seen| *seen += 1);
            }
        });
    }
    let mut running = running;
    for _ in 0..3 {
        Seen::more(&seen.with_comments, 200).await;
        running.abort();
        let _ = running.await;
        Seen::more(&seen.without, 200).await;
        (_, running) = comments(addr).await;
    }
    Seen::more(&seen.with_comments, 200).await;
    seen.over.store(true, Ordering::Relaxed);
    while let Some(caller) = callers.join_next().await {
        caller.expect("no call failed");
    }
}
